using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Runtime;

/// <summary>A dispatcher whose turns and clock the test owns.</summary>
internal sealed class ManualDispatcher : IDispatcher
{
    private readonly Queue<ILoopWork> _work = new();
    private readonly List<Timer> _timers = [];

    /// <summary>Whether the test plays the loop's own thread.</summary>
    public bool IsCurrent { get; set; } = true;

    public bool HasMovedOn { get; private set; }

    public long NowUs { get; private set; }

    public int Waiting => _work.Count;

    public void Execute(ILoopWork work) => _work.Enqueue(work);

    public IActorTimer CreateTimer(Action onDue)
    {
        var timer = new Timer(onDue);
        _timers.Add(timer);
        return timer;
    }

    public bool RunOne()
    {
        if (!_work.TryDequeue(out var work))
            return false;
        work.Run();
        return true;
    }

    public void RunAll()
    {
        while (RunOne())
        {
        }
    }

    public void Advance(long us)
    {
        NowUs += us;
        foreach (var timer in _timers.Where(timer => timer.DueUs <= NowUs).ToList())
            timer.Fire();
        RunAll();
    }

    /// <summary>The test's thread is stuck: another one carries the loop, which does <paramref name="meanwhile"/>, until <see cref="ComeBack"/>.</summary>
    public void MoveOn(Action meanwhile)
    {
        meanwhile();
        (IsCurrent, HasMovedOn) = (false, true);
    }

    /// <summary>The test plays the loop's own thread again.</summary>
    public void ComeBack() => (IsCurrent, HasMovedOn) = (true, false);

    private sealed class Timer(Action onDue) : IActorTimer
    {
        public long DueUs { get; private set; } = long.MaxValue;

        public void Arm(long dueUs) => DueUs = dueUs;

        public void Fire()
        {
            DueUs = long.MaxValue;
            onDue();
        }
    }
}
