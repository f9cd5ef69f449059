using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>Runs actors on the event loop that polls their sockets, so that a burst needs no thread switch.</summary>
public sealed class LoopDispatcher(IEventLoop loop) : IDispatcher
{
    public bool IsCurrent => loop.IsCurrent;

    public bool HasMovedOn => !loop.IsCurrent;

    public long NowUs => loop.NowUs;

    public void Execute(ILoopWork work) => loop.Post(work);

    public IActorTimer CreateTimer(Action onDue) => new Timer(loop, onDue);

    private sealed class Timer(IEventLoop loop, Action onDue) : LoopTimer, IActorTimer
    {
        public void Arm(long dueUs) => loop.SetTimer(this, dueUs);

        public override void OnDue(long nowUs) => onDue();
    }
}
