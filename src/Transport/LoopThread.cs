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
    private KernelThread? _kernelThread;
    private volatile bool _isReleased;
    private int _borrowers;

    // Whose received datagrams this thread is to deliver first: not its predecessor's own when that one was still at another's.
    private LoopThread? _unfinished;
    private IUdpEndpoint? _endpoint;
    private IDatagramReceiver? _receiver;
    private bool _manySources;
    private int _delivered;
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
    public bool IsHeldUp => _kernelThread is not { IsWaiting: false };

    /// <summary>Other threads deliver what this one received, or are stuck in a delivery of it: its buffers must stay as they are.</summary>
    public bool IsBorrowed => Volatile.Read(ref _borrowers) > 0;

    /// <summary>Whose buffers this thread, which carries the loop, may be delivering from, or may have left undelivered datagrams in.</summary>
    public LoopThread Source => _unfinished ?? this;

    private protected DatagramBatch Batch { get; set; } = new();

    private protected ReceivePool Pool { get; } = new();

    /// <summary>True while <paramref name="loop"/> has not gone on without this thread.</summary>
    public bool IsCarrying(EventLoop loop) => _loop == loop && Call != Abandoned;

    /// <summary>Starts the thread, parked.</summary>
    public void Start() => _thread.Start();

    /// <summary>Gives the loop to this thread, which is parked.</summary>
    /// <param name="unfinished">Who may have received what is not delivered yet; it was borrowed for this thread.</param>
    public void Carry(LoopThread? unfinished)
    {
        _unfinished = unfinished;
        Volatile.Write(ref _call, NoCall);
        _turn.Release();
    }

    /// <summary>Keeps the buffers for one more thread. Called before the one that used them so far is left, because that one may come back at once.</summary>
    public void Borrow() => Interlocked.Increment(ref _borrowers);

    /// <summary>One thread is through with the buffers.</summary>
    public void GiveBack() => Interlocked.Decrement(ref _borrowers);

    /// <summary>Delivers what was left undelivered; false when the loop has gone on without this thread.</summary>
    public bool FinishPredecessor()
    {
        if (_unfinished is not { } source)
            return true;

        bool carries = source.FinishReception(this);
        _unfinished = null;
        // Only here: also a thread that the loop has gone on without was in them until it came back.
        source.GiveBack();
        return carries;
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

    /// <summary>Hands <see cref="Batch"/> to <paramref name="receiver"/>, each source's part by itself where there are many, and empties it; false when the loop has gone on without <paramref name="runner"/>.</summary>
    private protected bool Deliver(LoopThread runner, IUdpEndpoint endpoint, IDatagramReceiver receiver, bool manySources)
    {
        if (manySources)
            Batch.GroupBySource();
        (_endpoint, _receiver, _manySources, _delivered) = (endpoint, receiver, manySources, 0);
        return DeliverRest(runner);
    }

    /// <summary>Delivers what a thread had received when it was left; called on <paramref name="runner"/>, which carries the loop now, and false when the loop has gone on without that one too.</summary>
    /// <remarks>The thread that is stuck does not look at it any more, and does not receive again before it has the loop.</remarks>
    private protected virtual bool FinishReception(LoopThread runner) => DeliverRest(runner);

    private bool DeliverRest(LoopThread runner)
    {
        while (_delivered < Batch.Count)
        {
            int from = _delivered;
            // First: whatever becomes of the call, these have been handed over.
            _delivered = _manySources ? Batch.EndOfRun(from) : Batch.Count;
            try
            {
                _receiver!.OnDatagrams(_endpoint!, Batch.Span[from.._delivered]);
            }
            catch (Exception failure)
            {
                _loop.Report(failure);
            }
            if (!runner.StillCarries())
                return false;
        }

        Batch.Clear();
        return true;
    }

    private void Main()
    {
        s_current = this;
        using var kernelThread = KernelThread.OpenCurrent();
        _kernelThread = kernelThread;
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
