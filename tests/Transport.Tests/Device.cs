namespace NetdumpCollector.Transport.Tests;

/// <summary>What a loop calls and may be stuck in: <see cref="Call"/> waits until <see cref="Free"/> once <see cref="Hang"/> was called.</summary>
internal sealed class Device(IEventLoop loop) : IStallObserver, IDisposable
{
    private readonly ManualResetEventSlim _free = new(true);
    private readonly ManualResetEventSlim _stalled = new();
    private int _stalls;

    public int Stalls => Volatile.Read(ref _stalls);

    /// <summary>The thread of the last call.</summary>
    public Thread? Caller { get; private set; }

    /// <summary>Whether the loop's thread was still that of the call when the stall was told.</summary>
    public bool? WasCurrentWhenTold { get; private set; }

    /// <summary>What the last call returned.</summary>
    public bool? Ended { get; private set; }

    public void Hang()
    {
        _stalled.Reset();
        _free.Reset();
    }

    public void Free() => _free.Set();

    /// <summary>Frees who is stuck, also after a failed test.</summary>
    public void Dispose() => Free();

    public bool Call()
    {
        Caller = Thread.CurrentThread;
        Ended = null;
        loop.BeginBlockingCall(this);
        _free.Wait();
        bool ended = loop.EndBlockingCall();
        Ended = ended;
        Assert.Equal(ended, loop.IsCurrent);
        return ended;
    }

    public void OnStall()
    {
        WasCurrentWhenTold = loop.IsCurrent;
        Interlocked.Increment(ref _stalls);
        _stalled.Set();
    }

    public void AwaitStall() => Assert.True(_stalled.Wait(RunningLoop.Deadline), "the stall was not noticed");
}
