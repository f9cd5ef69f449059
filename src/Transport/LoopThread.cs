using System.Diagnostics;

namespace NetdumpCollector.Transport;

/// <summary>A thread that carries a loop, and the buffers of the round that it runs: a call that is stuck goes on using them while another thread carries the loop.</summary>
/// <remarks>
/// It is parked until <see cref="Carry"/>, and again after the loop has gone on without it and it has returned from what it was stuck in. One word, <see cref="_call"/>, decides who has the
/// loop: the thread ends its call and <see cref="LoopWatch"/> takes the loop away by a compare-and-swap of the same number, so that exactly one of them succeeds. The order of memory
/// follows that word: what the thread did before a call is visible to whoever took the loop away during it.
/// </remarks>
internal abstract class LoopThread : IDisposable
{
    private const long NoCall = 0;
    private const long Abandoned = -1;

    [ThreadStatic]
    private static LoopThread? s_current;

    private readonly EventLoop _loop;
    private readonly Thread _thread;
    private readonly SemaphoreSlim _turn = new(0);
    private KernelThread _kernelThread;
    private volatile bool _isReleased;
    private IStallObserver? _observer;
    private long _callsMade;

    // NoCall, the number of the call in progress, or Abandoned.
    private long _call = Abandoned;

    private protected LoopThread(EventLoop loop)
    {
        _loop = loop;
        _thread = new(Main) { Name = loop.Name, IsBackground = true };
    }

    /// <summary>The calling thread, when it is one that carries loops.</summary>
    public static LoopThread? Current => s_current;

    /// <summary>The call in progress; 0 or less when there is none. Numbers are never used twice by one thread.</summary>
    public long Call => Volatile.Read(ref _call);

    /// <summary>Calls announced so far.</summary>
    public long CallsMade => Volatile.Read(ref _callsMade);

    /// <summary>The thread is held up, not merely out of a processor: then another one would not get any further.</summary>
    public bool IsHeldUp => _kernelThread.IsWaiting;

    private protected DatagramBatch Batch { get; } = new();

    private protected ReceivePool Pool { get; } = new();

    /// <summary>True while <paramref name="loop"/> has not gone on without this thread.</summary>
    public bool IsCarrying(EventLoop loop) => _loop == loop && Call != Abandoned;

    /// <summary>Starts the thread, parked.</summary>
    public void Start() => _thread.Start();

    /// <summary>Gives the loop to this thread, which is parked.</summary>
    public void Carry()
    {
        Volatile.Write(ref _call, NoCall);
        _turn.Release();
    }

    /// <summary>Ends this thread, which is parked.</summary>
    public void Release()
    {
        _isReleased = true;
        _turn.Release();
    }

    /// <summary>Waits until the thread has ended.</summary>
    public void Join() => _thread.Join();

    /// <summary>Announces a call on this thread.</summary>
    public void BeginCall(IStallObserver observer)
    {
        Debug.Assert(_call == NoCall, "blocking calls do not nest, and each is ended");
        _observer = observer;
        Volatile.Write(ref _callsMade, _callsMade + 1);
        Volatile.Write(ref _call, _callsMade);
    }

    /// <summary>Ends the call on this thread; false when the loop was taken away meanwhile.</summary>
    public bool EndCall()
    {
        Debug.Assert(_call != NoCall, "no blocking call was begun");
        return Interlocked.CompareExchange(ref _call, NoCall, _callsMade) == _callsMade;
    }

    /// <summary>Takes the loop away from this thread if <paramref name="call"/> is still in progress; returns whom to tell, null if it is not.</summary>
    public IStallObserver? TryAbandon(long call) => Interlocked.CompareExchange(ref _call, Abandoned, call) == call ? _observer : null;

    /// <summary>Asked after every callback: false when the loop has gone on without this thread, which then touches nothing of the loop's.</summary>
    public bool StillCarries()
    {
        long call = Call;
        // A callback that threw out of a call leaves it open.
        return call == NoCall || (call != Abandoned && EndCall());
    }

    /// <summary>
    /// Waits until a socket is readable, the loop is woken or <paramref name="waitMs"/> have passed (-1: for ever), refreshes the loop's time, then delivers; false when the loop has gone on
    /// without this thread.
    /// </summary>
    public abstract bool PollSockets(int waitMs);

    /// <summary>Frees the buffers; called on the thread when it ends.</summary>
    public virtual void Dispose()
    {
        Pool.Dispose();
        _turn.Dispose();
    }

    /// <summary>Called on the thread before it carries a loop for the first time.</summary>
    private protected virtual void Prepare()
    {
    }

    /// <summary>Hands <see cref="Batch"/> to <paramref name="receiver"/> and empties it; false when the loop has gone on without this thread.</summary>
    private protected bool Deliver(IUdpEndpoint endpoint, IDatagramReceiver receiver, bool manySources)
    {
        if (Batch.Count == 0)
            return true;

        if (manySources)
            Batch.GroupBySource();
        try
        {
            receiver.OnDatagrams(endpoint, Batch.Span);
        }
        catch (Exception failure)
        {
            _loop.Report(failure);
        }
        Batch.Clear();
        return StillCarries();
    }

    private void Main()
    {
        s_current = this;
        _kernelThread = KernelThread.Current;
        Prepare();
        do
        {
            _turn.Wait();
            if (_isReleased)
                break;
            _loop.Run(this);
        }
        while (_loop.TryPark(this));
        Dispose();
    }
}
