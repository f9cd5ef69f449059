using System.Diagnostics;
using NetdumpCollector.Storage.Native;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>Runs actors on threads of its own that may block on devices; threads are made as they are needed, up to a number.</summary>
/// <remarks>One thread is there from the start: when the process runs out of memory or descriptors later, work still gets done.</remarks>
public sealed class ThreadDispatcher : IDispatcher, IDisposable
{
    private readonly object _gate = new();
    private readonly Queue<ILoopWork> _queue = new();
    private readonly string _name;
    private readonly int _maxThreads;
    private readonly bool _background;
    private int _threads;
    private int _idle;
    private bool _stopped;

    /// <param name="name">Of the threads, which get a number as well.</param>
    /// <param name="maxThreads">Most threads at a time.</param>
    /// <param name="background">The threads run only when no other wants to; see <see cref="BackgroundPriority"/>.</param>
    public ThreadDispatcher(string name, int maxThreads, bool background = false)
    {
        _name = name;
        _maxThreads = maxThreads;
        _background = background;
        StartThread();
    }

    /// <summary>What its threads are called, without their numbers.</summary>
    public string Name => _name;

    /// <summary>Work that no thread has begun.</summary>
    public int QueueLength
    {
        get
        {
            lock (_gate)
                return _queue.Count;
        }
    }

    public bool IsCurrent => false;

    public bool HasMovedOn => false;

    public long NowUs => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000);

    public void Execute(ILoopWork work)
    {
        lock (_gate)
        {
            if (_stopped)
                return;
            _queue.Enqueue(work);
            if (_queue.Count > _idle && _threads < _maxThreads)
                TryStartThread();
            Monitor.Pulse(_gate);
        }
    }

    public IActorTimer CreateTimer(Action onDue) => new Timer(this, onDue);

    /// <summary>Lets the threads end once the queue is empty; later work is dropped.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopped = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Where no more threads can be had those that run do the work.</summary>
    private void TryStartThread()
    {
        try
        {
            StartThread();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
        }
    }

    private void StartThread()
    {
        new Thread(Run) { IsBackground = true, Name = $"{_name}-{_threads + 1}" }.Start();
        _threads++;
    }

    private void Run()
    {
        if (_background)
            BackgroundPriority.Enter();
        while (true)
        {
            ILoopWork? work;
            lock (_gate)
            {
                _idle++;
                while (!_queue.TryDequeue(out work))
                {
                    if (_stopped)
                        return;
                    Monitor.Wait(_gate);
                }

                _idle--;
            }

            work.Run();
        }
    }

    private sealed class Timer(ThreadDispatcher dispatcher, Action onDue) : IActorTimer
    {
        private System.Threading.Timer? _timer;

        public void Arm(long dueUs)
        {
            _timer ??= new(static state => ((Timer)state!).Fire(), this, Timeout.Infinite, Timeout.Infinite);
            long milliseconds = dueUs == long.MaxValue ? Timeout.Infinite : Math.Max(0, (dueUs - dispatcher.NowUs + 999) / 1000);
            _timer.Change(milliseconds, Timeout.Infinite);
        }

        private void Fire() => onDue();
    }
}
