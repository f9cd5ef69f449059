using System.Diagnostics;

namespace NetdumpCollector.Transport;

/// <summary>The part of an event loop that does not depend on how sockets are polled: threads, clock, timers, posted work, end.</summary>
/// <remarks>
/// A round is: wait for sockets and deliver what they hold, fire due timers, run posted work. Each part is bounded, so that none can starve the others.
/// Work posted before <see cref="Dispose"/> is run unless the loop never started, later work is dropped. <see cref="Dispose"/> closes every endpoint and waits for the
/// thread that carries the loop, except on that thread, where the loop ends after the current round. A thread that the loop has gone on without is not waited for.
/// </remarks>
internal abstract class EventLoop : IEventLoop
{
    private const int MaxWorkPerRound = 256;
    private const int MaxSpares = 2;
    private const long MaxWaitMs = 600_000;
    private static readonly long s_ticksPerUs = Stopwatch.Frequency / 1_000_000;

    private readonly Action<Exception> _onError;
    private readonly TimerHeap _timers = new();
    private readonly WorkQueue _work;
    private readonly ManualResetEventSlim _ended = new();

    // Guards itself and _hasEnded.
    private readonly List<LoopThread> _spares = [];
    private bool _hasEnded;
    private volatile LoopThread? _carrier;

    // The last call that no other thread could be had for; the watch's alone.
    private (LoopThread Stuck, long Call) _unmoved;
    private long _awakeUs;
    private long _busyUs;
    private int _state = (int)State.Created;
    private volatile bool _stopping;

    private protected EventLoop(string name, Action<Exception> onError)
    {
        Name = name;
        _onError = onError;
        _work = new(Wake);
        StallWatch = new(this);
        NowUs = ReadClockUs();
    }

    private enum State
    {
        Created,
        Started,
        EndedUnstarted,
    }

    public string Name { get; }

    public bool IsCurrent => LoopThread.Current is { } thread && thread.IsCarrying(this);

    public long NowUs { get; private set; }

    public TimeSpan BusyTime => TimeSpan.FromMicroseconds(Interlocked.Read(ref _busyUs));

    /// <summary>The thread that carries the loop, from its start on.</summary>
    public LoopThread Carrier => _carrier!;

    public LoopWatch StallWatch { get; }

    /// <summary>Where the loop has ended, its last thread ends as well.</summary>
    private int SparesToKeep => _hasEnded ? 0 : MaxSpares;

    /// <summary>Posted work waits for the end of the round.</summary>
    public bool HasWork => _work.HasWork;

    public void Start()
    {
        if (Interlocked.CompareExchange(ref _state, (int)State.Started, (int)State.Created) != (int)State.Created)
            throw new InvalidOperationException($"loop {Name} was started or disposed before");

        _carrier = StartThread();
        _carrier.Carry(unfinished: null);
        StallWatch.Start();
    }

    public void Post(ILoopWork work) => _work.Post(work);

    public void SetTimer(LoopTimer timer, long dueUs)
    {
        Debug.Assert(IsCurrent, "timers belong to the loop's thread");
        _timers.Set(timer, dueUs);
    }

    public IUdpEndpoint Open(EndpointOptions options, IDatagramReceiver receiver)
    {
        if (!IsCurrent)
            throw new InvalidOperationException($"sockets of loop {Name} are opened on its thread");
        return OpenSocket(options, receiver);
    }

    public void BeginBlockingCall(IStallObserver observer)
    {
        Debug.Assert(IsCurrent, "blocking calls are announced on the loop's thread");
        LoopThread.Current!.BeginCall(observer);
        StallWatch.Notice();
    }

    public bool EndBlockingCall() => LoopThread.Current!.EndCall();

    public void Dispose()
    {
        _stopping = true;
        if (Interlocked.CompareExchange(ref _state, (int)State.EndedUnstarted, (int)State.Created) == (int)State.Created)
        {
            _work.Close();
            CloseSockets();
        }
        else if (_state == (int)State.Started && !IsCurrent)
        {
            _work.Wake();
            _ended.Wait();
            Carrier.Join();
        }
    }

    /// <summary>Runs the loop on <paramref name="thread"/> until the loop ends or goes on without it.</summary>
    public void Run(LoopThread thread)
    {
        EndWait();
        bool carries = thread.FinishPredecessor();
        EndSuperfluousSpares();
        if (!carries)
            return;

        while (!_stopping)
        {
            if (!thread.PollSockets(WaitMs()))
                return;
            RefreshNow();
            if (!FireTimers(thread) || !RunPostedWork(thread))
                return;
        }

        _work.Close();
        while (_work.HasWork)
        {
            if (!RunPostedWork(thread))
                return;
        }
        End();
    }

    /// <summary>Lets another thread carry the loop if <paramref name="stuck"/> is still in <paramref name="call"/>; called by the watch.</summary>
    public void TakeOver(LoopThread stuck, long call)
    {
        LoopThread next;
        try
        {
            // First, so that the loop stays where it is when no thread can be had.
            next = TakeSpare() ?? StartThread();
        }
        catch (Exception failure)
        {
            // The watch asks again at each look.
            if (_unmoved != (stuck, call))
                Report(failure);
            _unmoved = (stuck, call);
            return;
        }

        // As long as the call is in progress, and else the next step fails, this does not change.
        LoopThread source = stuck.Source;
        source.Borrow();
        if (stuck.TryAbandon(call) is not { } observer)
        {
            source.GiveBack();
            EndSuperfluousSpares();
            if (!TryPark(next))
                next.Release();
            return;
        }

        try
        {
            observer.OnStall();
        }
        catch (Exception failure)
        {
            Report(failure);
        }
        _carrier = next;
        next.Carry(source);
    }

    /// <summary>Keeps <paramref name="thread"/> for the next stall; false when it is to end.</summary>
    public bool TryPark(LoopThread thread)
    {
        lock (_spares)
        {
            // It would free the buffers.
            if (!thread.IsBorrowed && _spares.Count >= SparesToKeep)
                return false;
            _spares.Add(thread);
            return true;
        }
    }

    /// <summary>Called by the thread that carries the loop before it waits.</summary>
    public void BeginWait()
    {
        RefreshNow();
        Volatile.Write(ref _busyUs, _busyUs + NowUs - _awakeUs);
    }

    /// <summary>Called by the thread that carries the loop after it has waited; refreshes the loop's time.</summary>
    public void EndWait()
    {
        RefreshNow();
        _awakeUs = NowUs;
    }

    /// <summary>Reads the clock into <see cref="NowUs"/>.</summary>
    public void RefreshNow() => NowUs = ReadClockUs();

    /// <summary>Passes on what a receiver, timer or work item threw.</summary>
    public void Report(Exception failure)
    {
        try
        {
            _onError(failure);
        }
        catch (Exception)
        {
            // A log that cannot be written must not end the dumps that this loop receives.
        }
    }

    /// <summary>Makes a thread with buffers of its own.</summary>
    private protected abstract LoopThread CreateThread();

    /// <summary>Ends the current or the next wait of <see cref="LoopThread.PollSockets"/>; called from any thread.</summary>
    private protected abstract void Wake();

    private protected abstract IUdpEndpoint OpenSocket(EndpointOptions options, IDatagramReceiver receiver);

    /// <summary>Closes every endpoint and whatever else the threads poll.</summary>
    private protected abstract void CloseSockets();

    private int WaitMs()
    {
        if (_stopping || _work.HasWork)
            return 0;
        if (_timers.NextDueUs == long.MaxValue)
            return -1;

        RefreshNow();
        // Rounded up: waking before the timer is due would only mean to wait again.
        return _timers.NextDueUs <= NowUs ? 0 : (int)Math.Min((_timers.NextDueUs - NowUs - 1) / 1000 + 1, MaxWaitMs);
    }

    private bool FireTimers(LoopThread thread)
    {
        // A timer that arms itself for a time that has passed fires once per round.
        for (int left = _timers.Count; left > 0 && _timers.TryTakeDue(NowUs, out LoopTimer? timer); left--)
        {
            try
            {
                timer.OnDue(NowUs);
            }
            catch (Exception failure)
            {
                Report(failure);
            }
            if (!thread.StillCarries())
                return false;
        }
        return true;
    }

    private bool RunPostedWork(LoopThread thread)
    {
        _work.BeginRound();
        for (int left = MaxWorkPerRound; left > 0 && _work.TryTake(out ILoopWork? work); left--)
        {
            try
            {
                work.Run();
            }
            catch (Exception failure)
            {
                Report(failure);
            }
            if (!thread.StillCarries())
                return false;
        }
        return true;
    }

    private void End()
    {
        _timers.Clear();
        CloseSockets();
        lock (_spares)
            _hasEnded = true;
        EndSuperfluousSpares();
        StallWatch.Dispose();
        _ended.Set();
    }

    /// <summary>A thread that came back while its buffers were still in use was parked whatever the number.</summary>
    private void EndSuperfluousSpares()
    {
        lock (_spares)
        {
            for (int i = _spares.Count - 1; i >= 0 && _spares.Count > SparesToKeep; i--)
            {
                if (_spares[i].IsBorrowed)
                    continue;
                _spares[i].Release();
                _spares.RemoveAt(i);
            }
        }
    }

    private LoopThread? TakeSpare()
    {
        lock (_spares)
        {
            // Of the buffers of others a stuck thread may be writing to a file.
            int last = _spares.FindLastIndex(spare => !spare.IsBorrowed);
            if (last < 0)
                return null;

            LoopThread spare = _spares[last];
            _spares.RemoveAt(last);
            return spare;
        }
    }

    private LoopThread StartThread()
    {
        LoopThread thread = CreateThread();
        thread.Start();
        return thread;
    }

    // The frequency is a multiple of 1 MHz on every system that .NET runs on.
    private static long ReadClockUs() => Stopwatch.GetTimestamp() / s_ticksPerUs;
}
