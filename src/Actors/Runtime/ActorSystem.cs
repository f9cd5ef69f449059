using System.Collections.Concurrent;

namespace NetdumpCollector.Actors.Runtime;

/// <summary>The actors of one process: starts the topmost ones, collects failures and dead letters, stops everything in order.</summary>
public sealed class ActorSystem(string name, Action<string, Exception>? onFailure = null, Action<string, object>? onDeadLetter = null)
{
    private readonly object _gate = new();
    private readonly List<ICell> _top = [];
    private readonly ConcurrentDictionary<Type, MailboxKind> _kinds = new();
    private long _restarts;
    private long _failures;

    public DeadLetters DeadLetters { get; } = new(onDeadLetter);

    /// <summary>Actors restarted since the start.</summary>
    public long Restarts => Interlocked.Read(ref _restarts);

    /// <summary>Exceptions that left an actor.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Starts an actor without a parent.</summary>
    public ActorRef<TMessage> Spawn<TMessage>(string actorName, IDispatcher dispatcher, Func<Actor<TMessage>> factory, SpawnOptions? options = null)
        where TMessage : class
    {
        var cell = new ActorCell<TMessage>(this, null, $"{name}/{actorName}", dispatcher, factory, options ?? SpawnOptions.Default);
        lock (_gate)
            _top.Add(cell);
        cell.Begin();
        return cell.Ref;
    }

    /// <summary>Stops the topmost actors, the youngest first, each with its children; true when all ended in time.</summary>
    public async Task<bool> StopAsync(TimeSpan timeout)
    {
        using var deadline = new CancellationTokenSource(timeout);
        while (true)
        {
            ICell? last;
            lock (_gate)
                last = _top.LastOrDefault();
            if (last is null)
                return true;

            last.Stop(drain: true);
            try
            {
                await last.Stopped.WaitAsync(deadline.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }

    /// <summary>Mailboxes by kind of actor, of every kind that has lived. Goes through all actors, so that their messages cost nothing for it.</summary>
    public IReadOnlyList<MailboxReading> Mailboxes()
    {
        var living = new Dictionary<MailboxKind, (long Actors, long Waiting)>();
        var cells = new Stack<ICell>();
        lock (_gate)
            _top.ForEach(cells.Push);
        while (cells.TryPop(out var cell))
        {
            var (actors, waiting) = living.GetValueOrDefault(cell.Kind);
            living[cell.Kind] = (actors + 1, waiting + cell.QueueLength);
            cell.PushChildren(cells);
        }

        return [.. _kinds.Values.Select(kind => (Kind: kind, Living: living.GetValueOrDefault(kind)))
            .Select(one => new MailboxReading(one.Kind.Actor, one.Living.Actors, one.Living.Waiting, one.Kind.Peak, one.Kind.Refused)).OrderBy(reading => reading.Actor, StringComparer.Ordinal)];
    }

    internal MailboxKind KindOf<TMessage>() => _kinds.GetOrAdd(typeof(TMessage), static message => new(message));

    internal void Forget(ICell cell)
    {
        lock (_gate)
            _top.Remove(cell);
    }

    internal void CountRestart() => Interlocked.Increment(ref _restarts);

    internal void Report(string path, Exception failure)
    {
        Interlocked.Increment(ref _failures);
        onFailure?.Invoke(path, failure);
    }
}
