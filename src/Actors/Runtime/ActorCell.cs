using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>What parents and children know of each other, whatever their messages are.</summary>
internal interface ICell
{
    string Path { get; }
    Task Stopped { get; }
    MailboxKind Kind { get; }
    int QueueLength { get; }
    void PushChildren(Stack<ICell> cells);
    void Stop(bool drain);
    void OnChildStopped(ICell child);
    void Escalate(Exception failure);
}

/// <summary>The runtime's side of one actor: mailbox, scheduling, supervision, children, timers.</summary>
/// <remarks>
/// A cell is queued on its dispatcher at most once and runs one message at a time. Stopping goes top down, ending bottom up: children are
/// told to stop first, <see cref="Actor{TMessage}.PostStop"/> runs when the last of them is gone.
/// </remarks>
public sealed class ActorCell<TMessage> : ICell, ILoopWork
    where TMessage : class
{
    /// <summary>Messages handled before other actors of the dispatcher get their turn.</summary>
    private const int Throughput = 64;

    private const int Idle = 0, Scheduled = 1, Running = 2, RunningAgain = 3;
    private const int Free = 0, Inside = 1, InsideAndWanted = 2;

    private readonly ActorSystem _system;
    private readonly ICell? _parent;
    private readonly IDispatcher _dispatcher;
    private readonly Func<Actor<TMessage>> _factory;
    private readonly SupervisorStrategy _strategy;
    private readonly Action<Exception?>? _onStopped;
    private readonly Mailbox<TMessage> _mailbox;
    private readonly MailboxKind _kind;
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly object _childrenGate = new();
    private readonly List<ICell> _children = [];
    private readonly Queue<long> _failureTimesUs = new();
    private Actor<TMessage>? _actor;
    private Exception? _failure;
    private Exception? _escalated;
    private int _state;

    // Whether a thread is inside the actor. One that its loop has moved on from may still be when the loop comes to the actor again.
    private int _occupied;
    private bool _childrenStopping;
    private volatile bool _stopRequested;
    private volatile bool _drainRequested;
    private volatile bool _ended;

    internal ActorCell(ActorSystem system, ICell? parent, string path, IDispatcher dispatcher, Func<Actor<TMessage>> factory, SpawnOptions options)
    {
        _system = system;
        _parent = parent;
        Path = path;
        _dispatcher = dispatcher;
        _factory = factory;
        _strategy = options.Strategy;
        _onStopped = options.OnStopped;
        _mailbox = new(options.MailboxCapacity);
        _kind = system.KindOf<TMessage>();
        Ref = new(this);
    }

    public string Path { get; }

    public ActorRef<TMessage> Ref { get; }

    /// <summary>Monotonic time of the dispatcher in microseconds.</summary>
    public long NowUs => _dispatcher.NowUs;

    public Task Stopped => _stopped.Task;

    /// <summary>The actor is to stop: it handles no more messages and must start no children.</summary>
    public bool IsStopping => _stopRequested;

    /// <summary>Messages waiting.</summary>
    public int QueueLength => _mailbox.Count;

    /// <summary>Makes a disarmed timer that hands <paramref name="message"/> to this actor.</summary>
    public IActorTimer CreateTimer(TMessage message) => _dispatcher.CreateTimer(() => Ref.Deliver(message));

    /// <summary>Starts a child; it is stopped with this actor.</summary>
    public ActorRef<TChild> Spawn<TChild>(string name, IDispatcher dispatcher, Func<Actor<TChild>> factory, SpawnOptions? options = null)
        where TChild : class
    {
        var child = new ActorCell<TChild>(_system, this, $"{Path}/{name}", dispatcher, factory, options ?? SpawnOptions.Default);
        lock (_childrenGate)
            _children.Add(child);
        child.Begin();
        return child.Ref;
    }

    /// <summary>Stops this actor after the message it is at.</summary>
    public void Stop() => Stop(drain: false);

    public void Stop(bool drain)
    {
        if (drain)
            _drainRequested = true;
        else
            _stopRequested = true;
        _mailbox.Close();
        Schedule();
    }

    internal void Begin() => Schedule();

    internal bool Tell(TMessage message)
    {
        int length = _mailbox.TryEnqueue(message);
        if (length <= 0)
        {
            if (length == Mailbox<TMessage>.Full)
                _kind.OnRefused();
            _system.DeadLetters.Add(Path, message);
            return false;
        }

        _kind.OnLength(length);
        Schedule();
        return true;
    }

    internal bool TryHandleNow(TMessage message)
    {
        if (!_dispatcher.IsCurrent || _ended || _stopRequested || !TryEnter())
            return false;

        bool handled = false;
        if (EnsureStarted())
        {
            while (MayContinue && _mailbox.TryDequeue(out var earlier))
                Handle(earlier);
            if (MayContinue)
            {
                Handle(message);
                handled = true;
            }
        }

        Leave();
        if (_stopRequested)
            Schedule();
        return handled || _stopRequested;
    }

    /// <summary>The dispatcher's turn for this actor.</summary>
    public void Run()
    {
        Volatile.Write(ref _state, Running);
        if (!TryEnterOrLeaveWord())
        {
            if (Interlocked.Exchange(ref _state, Idle) == RunningAgain)
                Schedule();
            return;
        }

        if (!_ended && EnsureStarted())
        {
            if (Interlocked.Exchange(ref _escalated, null) is Exception escalated)
                OnFailure(escalated);
            for (int i = 0; i < Throughput && MayContinue && _mailbox.TryDequeue(out var message); i++)
                Handle(message);
        }

        bool movedOn = _dispatcher.HasMovedOn;
        if (!movedOn)
        {
            if (_drainRequested && _mailbox.Count == 0)
                _stopRequested = true;
            if (_stopRequested && !_ended)
                TryEnd();
        }

        bool again = Interlocked.Exchange(ref _state, Idle) == RunningAgain;
        Leave();
        if (again || movedOn || (!_stopRequested && _mailbox.Count > 0))
            Schedule();
    }

    private bool MayContinue => !_stopRequested && !_dispatcher.HasMovedOn;

    private bool TryEnter() => Interlocked.CompareExchange(ref _occupied, Inside, Free) == Free;

    /// <summary>False when a thread is inside; it gives the actor its turn when it leaves.</summary>
    private bool TryEnterOrLeaveWord()
    {
        while (true)
        {
            if (TryEnter())
                return true;
            if (Interlocked.CompareExchange(ref _occupied, InsideAndWanted, Inside) != Free)
                return false;
        }
    }

    private void Leave()
    {
        if (Interlocked.Exchange(ref _occupied, Free) == InsideAndWanted)
            Schedule();
    }

    MailboxKind ICell.Kind => _kind;

    void ICell.PushChildren(Stack<ICell> cells)
    {
        lock (_childrenGate)
            _children.ForEach(cells.Push);
    }

    void ICell.OnChildStopped(ICell child)
    {
        lock (_childrenGate)
            _children.Remove(child);
        if (_stopRequested)
            Schedule();
    }

    void ICell.Escalate(Exception failure)
    {
        Interlocked.Exchange(ref _escalated, failure);
        Schedule();
    }

    private void Schedule()
    {
        while (!_ended)
        {
            int state = Volatile.Read(ref _state);
            if (state is Scheduled or RunningAgain)
                return;

            int next = state == Idle ? Scheduled : RunningAgain;
            if (Interlocked.CompareExchange(ref _state, next, state) != state)
                continue;
            if (next == Scheduled)
                _dispatcher.Execute(this);
            return;
        }
    }

    private bool EnsureStarted()
    {
        if (_actor is not null)
            return true;

        try
        {
            _actor = _factory();
            _actor.Attach(this);
            _actor.Start();
            return true;
        }
        catch (Exception e)
        {
            // An actor that cannot start would fail again at once.
            _system.Report(Path, e);
            _failure = e;
            _stopRequested = true;
            return false;
        }
    }

    private void Handle(TMessage message)
    {
        try
        {
            _actor!.Dispatch(message);
        }
        catch (Exception e)
        {
            OnFailure(e);
        }
    }

    private void OnFailure(Exception failure)
    {
        _system.Report(Path, failure);
        switch (TooManyFailures() ? SupervisorDirective.Stop : _strategy.Decide(failure))
        {
            case SupervisorDirective.Resume:
                break;
            case SupervisorDirective.Restart:
                _system.CountRestart();
                Finish(failure);
                _actor = null;
                EnsureStarted();
                break;
            case SupervisorDirective.Escalate when _parent is not null:
                _failure = failure;
                _stopRequested = true;
                _parent.Escalate(failure);
                break;
            default:
                _failure = failure;
                _stopRequested = true;
                break;
        }
    }

    private bool TooManyFailures()
    {
        if (_strategy.MaxFailures == int.MaxValue)
            return false;

        long nowUs = NowUs;
        _failureTimesUs.Enqueue(nowUs);
        while (_failureTimesUs.Peek() < nowUs - _strategy.WindowUs)
            _failureTimesUs.Dequeue();
        return _failureTimesUs.Count > _strategy.MaxFailures;
    }

    private void TryEnd()
    {
        _mailbox.Close();
        ICell[] children;
        lock (_childrenGate)
            children = [.. _children];
        if (children.Length > 0)
        {
            if (!_childrenStopping)
            {
                _childrenStopping = true;
                foreach (var child in children)
                    child.Stop(drain: false);
            }

            return;
        }

        _ended = true;
        while (_mailbox.TryDequeue(out var message))
            _system.DeadLetters.Add(Path, message);
        if (_actor is not null)
            Finish(_failure);
        _parent?.OnChildStopped(this);
        _system.Forget(this);
        try
        {
            _onStopped?.Invoke(_failure);
        }
        catch (Exception e)
        {
            _system.Report(Path, e);
        }

        _stopped.TrySetResult();
    }

    private void Finish(Exception? failure)
    {
        try
        {
            _actor!.Finish(failure);
        }
        catch (Exception e)
        {
            _system.Report(Path, e);
        }
    }
}
