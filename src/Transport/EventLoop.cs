using System.Diagnostics;

namespace NetdumpCollector.Transport;

/// <summary>The part of an event loop that does not depend on how sockets are polled: thread, clock, timers, posted work, delivery, end.</summary>
/// <remarks>
/// A round is: wait for sockets and deliver what they hold, fire due timers, run posted work. Each part is bounded, so that none can starve the others.
/// Work posted before <see cref="Dispose"/> is run unless the loop never started, later work is dropped. <see cref="Dispose"/> closes every endpoint and waits for the
/// thread, except on the loop's own thread, where the loop ends after the current round.
/// </remarks>
internal abstract class EventLoop : IEventLoop
{
    private const int MaxWorkPerRound = 256;
    private const long MaxWaitMs = 600_000;
    private static readonly long s_ticksPerUs = Stopwatch.Frequency / 1_000_000;

    private readonly Thread _thread;
    private readonly Action<Exception> _onError;
    private readonly TimerHeap _timers = new();
    private readonly WorkQueue _work;
    private int _state = (int)State.Created;
    private volatile bool _stopping;

    private protected EventLoop(string name, Action<Exception> onError)
    {
        _onError = onError;
        _work = new(Wake);
        _thread = new(Run) { Name = name, IsBackground = true };
        NowUs = ReadClockUs();
    }

    private enum State
    {
        Created,
        Started,
        EndedUnstarted,
    }

    public bool IsCurrent => Thread.CurrentThread == _thread;

    public long NowUs { get; private set; }

    private protected DatagramBatch Batch { get; } = new();

    private protected ReceivePool Pool { get; } = new();

    public void Start()
    {
        if (Interlocked.CompareExchange(ref _state, (int)State.Started, (int)State.Created) != (int)State.Created)
            throw new InvalidOperationException($"loop {_thread.Name} was started or disposed before");
        _thread.Start();
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
            throw new InvalidOperationException($"sockets of loop {_thread.Name} are opened on its thread");
        return OpenSocket(options, receiver);
    }

    public void Dispose()
    {
        _stopping = true;
        if (Interlocked.CompareExchange(ref _state, (int)State.EndedUnstarted, (int)State.Created) == (int)State.Created)
        {
            _work.Close();
            Release();
        }
        else if (_state == (int)State.Started && !IsCurrent)
        {
            _work.Wake();
            _thread.Join();
        }
    }

    /// <summary>Waits until a socket is readable, <see cref="Wake"/> is called or <paramref name="waitMs"/> have passed (-1: for ever), calls <see cref="RefreshNow"/>, then delivers.</summary>
    private protected abstract void PollSockets(int waitMs);

    /// <summary>Ends the current or the next wait of <see cref="PollSockets"/>; called from any thread.</summary>
    private protected abstract void Wake();

    private protected abstract IUdpEndpoint OpenSocket(EndpointOptions options, IDatagramReceiver receiver);

    /// <summary>Closes every endpoint and whatever <see cref="PollSockets"/> needs.</summary>
    private protected abstract void CloseSockets();

    private protected void RefreshNow() => NowUs = ReadClockUs();

    /// <summary>Hands <see cref="Batch"/> to <paramref name="receiver"/> and empties it.</summary>
    private protected void Deliver(IUdpEndpoint endpoint, IDatagramReceiver receiver, bool manySources)
    {
        if (Batch.Count == 0)
            return;

        if (manySources)
            Batch.GroupBySource();
        try
        {
            receiver.OnDatagrams(endpoint, Batch.Span);
        }
        catch (Exception failure)
        {
            Report(failure);
        }
        Batch.Clear();
    }

    private void Run()
    {
        while (!_stopping)
        {
            PollSockets(WaitMs());
            RefreshNow();
            FireTimers();
            RunPostedWork();
        }

        _work.Close();
        while (_work.HasWork)
            RunPostedWork();
        Release();
    }

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

    private void FireTimers()
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
        }
    }

    private void RunPostedWork()
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
        }
    }

    private void Release()
    {
        _timers.Clear();
        CloseSockets();
        Pool.Dispose();
    }

    private void Report(Exception failure)
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

    // The frequency is a multiple of 1 MHz on every system that .NET runs on.
    private static long ReadClockUs() => Stopwatch.GetTimestamp() / s_ticksPerUs;
}
