namespace NetdumpCollector.Transport;

/// <summary>Looks every 15 ms whether the thread that carries a loop is stuck in a call, and lets the loop go on then.</summary>
/// <remarks>
/// A call is stuck when it is first seen in progress and still is two looks later, which is after 30 to 45 ms, unless the thread only lacks a processor: another one would lack it as well, and
/// what the stuck delivery still holds would be lost for nothing. The clock is not read. While a loop makes no such calls, its watch sleeps.
/// </remarks>
internal sealed class LoopWatch(EventLoop loop) : IDisposable
{
    private const int LookMs = 15;
    private const int StuckLooks = 2;
    private const int IdleLooks = 66;

    private readonly ManualResetEventSlim _awake = new();
    private volatile bool _isStopped;

    /// <summary>True while nothing is looked at, until the next <see cref="Notice"/>.</summary>
    public bool IsAsleep => !_awake.IsSet;

    public void Start() => new Thread(Watch) { Name = $"{loop.Name}-watch", IsBackground = true }.Start();

    /// <summary>Called on the loop's thread after a call was announced.</summary>
    public void Notice()
    {
        // Either this sees that the watch is about to sleep, or the watch, with a fence between the same two steps, sees the call before it sleeps.
        Interlocked.MemoryBarrier();
        if (IsAsleep)
            _awake.Set();
    }

    /// <summary>Lets the thread end, within one look.</summary>
    public void Dispose()
    {
        _isStopped = true;
        _awake.Set();
    }

    private void Watch()
    {
        LoopThread? thread = null;
        long callsMade = 0;
        int looksUnchanged = 0;
        while (!_isStopped)
        {
            LoopThread carrier = loop.Carrier;
            long made = carrier.CallsMade;
            bool changed = carrier != thread || made != callsMade;
            (thread, callsMade) = (carrier, made);
            looksUnchanged = changed ? 0 : looksUnchanged + 1;

            if (carrier.Call > 0)
            {
                if (carrier.Call == callsMade && looksUnchanged >= StuckLooks && carrier.IsHeldUp)
                    loop.TakeOver(carrier, callsMade);
            }
            else if (looksUnchanged >= IdleLooks)
            {
                Sleep(carrier, callsMade);
                looksUnchanged = 0;
            }
            Thread.Sleep(LookMs);
        }
    }

    private void Sleep(LoopThread carrier, long callsMade)
    {
        _awake.Reset();
        Interlocked.MemoryBarrier();
        if (carrier.CallsMade == callsMade && !_isStopped)
            _awake.Wait();
        _awake.Set();
    }
}
