using System.Diagnostics;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Fleet;

/// <summary>Keeps a node in touch with the fleet's catalogue: tells it each second how the node is and learns how the others are, for as long as the server runs.</summary>
/// <remarks>
/// A loop of its own on the thread pool. Nobody waits for it: what it learns is read from <see cref="FleetState"/>, and what it has to tell waits in the outbox. While the catalogue is down it is tried again
/// and again; then the dump directory is compared with what the catalogue has of it.
/// </remarks>
public sealed class FleetLink : IDisposable
{
    private const int EntriesPerStatement = 100;

    /// <summary>In one second, so that a long backlog does not make a live node look dead.</summary>
    private const int StatementsPerBeat = 10;

    private const int MaxEvents = 100;

    private static readonly TimeSpan s_beat = TimeSpan.FromSeconds(1);

    /// <summary>In a storm of panics the events of so long are told of together.</summary>
    private static readonly TimeSpan s_gathering = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan s_tidy = TimeSpan.FromMinutes(1);

    /// <summary>A directory that takes longer must not make the node look dead: it is asked on later.</summary>
    private static readonly TimeSpan s_directoryPatience = TimeSpan.FromMilliseconds(500);

    /// <summary>By then nobody waits for the answer any more.</summary>
    private static readonly TimeSpan s_directoryDeadline = TimeSpan.FromMinutes(10);

    /// <summary>After a time without catalogue all nodes look dead until they have found it again.</summary>
    private static readonly TimeSpan s_settling = FleetDatabase.DeadAfter + 2 * s_beat;

    private readonly ClusterAddress _address;
    private readonly FleetSource _source;
    private readonly ActorRef<FleetActor.Message> _directory;
    private readonly FleetState _state;
    private readonly CollectorMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _leaving = new();
    private readonly CancellationTokenSource _giveUp = new();
    private readonly Task _running;
    private NodeIdentity _node;
    private readonly HashSet<long> _heard = [];
    private readonly Queue<long> _heardOrder = new();
    private Task _asking = Task.CompletedTask;
    private readonly HashSet<string> _strangers = [];
    private bool _hasListened;
    private long? _takenSince;
    private string? _told;

    public FleetLink(ClusterAddress address, FleetSource source, ActorRef<FleetActor.Message> directory, FleetState state, CollectorMetrics metrics, TimeProvider time, ILogger log)
    {
        (_address, _source, _directory, _state, _metrics, _time, _log) = (address, source, directory, state, metrics, time, log);
        _node = source.Node;
        _running = Task.Run(RunAsync);
        _running.ContinueWith(failed => CollectorLog.ActorFailed(log, "fleet", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
    }

    /// <summary>Tells the catalogue that the node ends, and what waits to be told, within <paramref name="patience"/> at most.</summary>
    public void Leave(TimeSpan patience)
    {
        // What is called by that asks the database to cancel its work, and waits for the answer: on a thread of the pool.
        _ = _leaving.CancelAsync();
        _ = Task.WhenAny(_running, Task.Delay(patience)).Wait(patience);
    }

    /// <summary>Ends at once.</summary>
    public void Dispose()
    {
        _ = _leaving.CancelAsync();
        _ = _giveUp.CancelAsync();
    }

    private async Task RunAsync()
    {
        // The directory may hang; the thread that looks at it then does.
        (Guid Instance, Guid Directory)? own = null;
        while (own is null && !_leaving.IsCancellationRequested)
        {
            own = await AskAsync<(Guid, Guid)?>(reply => new FleetActor.Begin(reply)).ConfigureAwait(false);
            if (own is null)
                await RestAsync(s_beat).ConfigureAwait(false);
        }

        if (own is not { } known)
            return;
        _node = _node with { Instance = known.Instance, Directory = known.Directory };
        _state.Directory = known.Directory;
        while (!_leaving.IsCancellationRequested)
        {
            try
            {
                await using var database = await FleetDatabase.OpenAsync(_address, _node.Name, _leaving.Token).ConfigureAwait(false);
                await LiveAsync(database).ConfigureAwait(false);
            }
            catch (FleetException e)
            {
                OnDown(e);
            }
            catch (OperationCanceledException) when (_leaving.IsCancellationRequested)
            {
                return;
            }

            // Not all nodes at the same moment.
            await RestAsync(s_beat * (1 + Random.Shared.NextDouble())).ConfigureAwait(false);
        }
    }

    /// <summary>Lives with one connection until it fails, or the node leaves.</summary>
    /// <exception cref="FleetException">The catalogue has failed.</exception>
    private async Task LiveAsync(FleetDatabase database)
    {
        var life = new FleetLife { Database = database, SettledAt = _time.GetTimestamp() + (long)(s_settling.TotalSeconds * _time.TimestampFrequency), StatementsBefore = _state.Statements };
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(_leaving.Token);
        var listening = Task.CompletedTask;
        try
        {
            while (!_leaving.IsCancellationRequested)
            {
                long begun = _time.GetTimestamp();
                if (await BeatAsync(life).ConfigureAwait(false))
                {
                    if (listening.IsCompleted)
                        listening = ListenAsync(ending.Token);
                    await CatchUpAsync(life).ConfigureAwait(false);
                }

                _state.Statements = life.StatementsBefore + database.Statements;
                await TellEventsAsync(life, begun).ConfigureAwait(false);
            }

            await LeaveAsync(life).ConfigureAwait(false);
        }
        finally
        {
            _state.Statements = life.StatementsBefore + database.Statements;
            await ending.CancelAsync().ConfigureAwait(false);
            await ((Task)listening).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <returns>The node is in the catalogue.</returns>
    private async Task<bool> BeatAsync(FleetLife life)
    {
        var (dumps, sessions) = await _source.Sessions().ConfigureAwait(false);
        long nowUs = NowUs;
        long tallied = _source.Storm.Changes;
        bool wantsTallies = _source.Storm.WantsMessage;
        var beat = new FleetBeat(
            dumps,
            sessions.Count > 0 || life.HadSessions ? sessions : null,
            wantsTallies && tallied != life.Tallied ? [.. _source.Storm.Counts(nowUs).Select(count => new PanicTally(count.Signature, count.WholeDumps, count.AgeUs))] : null,
            wantsTallies);
        long begun = _time.GetTimestamp();
        var snapshot = await life.Database.BeatAsync(_node, beat, _giveUp.Token).ConfigureAwait(false);
        _metrics.CatalogueAnswered(_time.GetElapsedTime(begun));
        // What was learned comes before the word that it is fresh.
        if (snapshot is not null)
            _state.Snapshot = Settle(snapshot, life).Index();
        _state.AnsweredAt = _time.GetTimestamp();
        if (snapshot is null)
        {
            OnNameTaken();
            return false;
        }

        OnUp();
        (life.HadSessions, life.Tallied) = (sessions.Count > 0, wantsTallies ? tallied : life.Tallied);
        var settled = _state.Snapshot;
        TellOfStrangers(settled);
        _source.Storm.HearOf(settled.Elsewhere.Select(tally => (tally.Signature, tally.Dumps, tally.AgeUs)), nowUs);
        _source.Limits.Elsewhere = settled.Nodes.Where(node => node.State == FleetNodeState.Live && node.Identity.Name != _node.Name).Sum(node => node.Dumps);
        return true;
    }

    /// <summary>Nodes that answer the same address and have another directory find nothing of each other's dumps, which is noticed by nobody until one of them dies.</summary>
    private void TellOfStrangers(FleetSnapshot snapshot)
    {
        if (!_source.SharesDirectory)
            return;
        foreach (var (other, state, _, _) in snapshot.Nodes)
        {
            if (other.Name != _node.Name && other.Address == _node.Address && other.Directory != _node.Directory && state == FleetNodeState.Live && _strangers.Add(other.Name))
                CollectorLog.OtherDirectory(_log, other.Name, other.Address);
        }
    }

    /// <summary>While the catalogue was away nobody could be heard of: who was not dead before is not, until he had time to find it again.</summary>
    private FleetSnapshot Settle(FleetSnapshot snapshot, FleetLife life)
    {
        if (_time.GetTimestamp() >= life.SettledAt)
            return snapshot;
        var before = _state.Snapshot;
        return new([.. snapshot.Nodes.Select(node => node.State == FleetNodeState.Dead && before.NodeOf(node.Identity.Name) is not { State: FleetNodeState.Dead } ? node with { State = FleetNodeState.Live } : node)],
            snapshot.Sessions, snapshot.Elsewhere);
    }

    /// <summary>Tells of ended dumps: what waits in the outbox, and at first all in which the directory differs from the catalogue.</summary>
    private async Task CatchUpAsync(FleetLife life)
    {
        for (int statement = 0; statement < StatementsPerBeat && _state.OutboxLength > 0; statement++)
        {
            if (await TellChangesAsync(life.Database).ConfigureAwait(false) == 0)
                break;
        }

        // What an earlier process left in the outbox may be out of date, as what the directory has is not: so that comes last.
        if (_state.OutboxLength == 0)
            await CompareAsync(life).ConfigureAwait(false);
        for (int statement = 0; statement < StatementsPerBeat && life.Different.Count > 0; statement++)
        {
            string[] ids = [.. life.Different.Take(EntriesPerStatement)];
            if (await AskAsync<IReadOnlyList<OutboxEntry>>(reply => new FleetActor.Describe(ids, life.Known, reply)).ConfigureAwait(false) is not { } entries)
                break;
            await ApplyAsync(life.Database, entries).ConfigureAwait(false);
            life.Reconciled += entries.Count;
            for (int i = 0; i < ids.Length; i++)
                _ = life.Different.Dequeue();
            if (life.Different.Count == 0 && life.Reconciled > 0)
                CollectorLog.CatalogueReconciled(_log, life.Reconciled);
        }

        if (_time.GetTimestamp() - life.TidiedAt >= s_tidy.TotalSeconds * _time.TimestampFrequency)
        {
            life.TidiedAt = _time.GetTimestamp();
            await life.Database.TidyAsync(_giveUp.Token).ConfigureAwait(false);
        }
    }

    private async Task CompareAsync(FleetLife life)
    {
        if (life.Comparing is null && life.IsCompared && _state.OutboxRefused == life.Refused)
            return;
        if (life.Comparing is null)
        {
            (life.Refused, life.Reconciled) = (_state.OutboxRefused, 0);
            life.Known = await life.Database.KnownDumpsAsync(_node.Directory, _giveUp.Token).ConfigureAwait(false);
            life.Comparing = _directory.Ask<IReadOnlyList<string>>(reply => new FleetActor.Compare(life.Known, reply), s_directoryDeadline, _time);
            _asking = life.Comparing;
        }

        // A directory of many dumps takes seconds to read.
        _ = await Task.WhenAny(life.Comparing, Task.Delay(s_directoryPatience)).ConfigureAwait(false);
        if (!life.Comparing.IsCompleted)
            return;
        if (life.Comparing.IsCompletedSuccessfully)
            (life.Different, life.IsCompared) = (new(life.Comparing.Result), true);
        life.Comparing = null;
    }

    private async Task<int> TellChangesAsync(FleetDatabase database)
    {
        var taken = await AskAsync<IReadOnlyList<(long Number, OutboxEntry Entry)>>(reply => new FleetActor.Take(EntriesPerStatement, reply)).ConfigureAwait(false) ?? [];
        if (taken.Count == 0)
            return 0;
        await ApplyAsync(database, [.. taken.Select(one => one.Entry)]).ConfigureAwait(false);
        _state.OutboxLength = Math.Max(0, _state.OutboxLength - taken.Count);
        _directory.Tell(new FleetActor.Told([.. taken.Select(one => one.Number)]));
        return taken.Count;
    }

    /// <summary>One dump that the database cannot take must not keep the others waiting.</summary>
    private async Task ApplyAsync(FleetDatabase database, IReadOnlyList<OutboxEntry> entries)
    {
        try
        {
            await database.ApplyAsync(_node, entries, _giveUp.Token).ConfigureAwait(false);
        }
        catch (FleetException e) when (e.IsRefusal && entries.Count == 1)
        {
            CollectorLog.CatalogueRefuses(_log, entries[0].DumpId, e.Message);
        }
        catch (FleetException e) when (e.IsRefusal)
        {
            foreach (var entry in entries)
                await ApplyAsync(database, [entry]).ConfigureAwait(false);
        }
    }

    /// <summary>Passes on what happens, until the next beat is due.</summary>
    private async Task TellEventsAsync(FleetLife life, long begun)
    {
        var events = _source.Events.Events;
        while (!_leaving.IsCancellationRequested && s_beat - _time.GetElapsedTime(begun) is var left && left > TimeSpan.Zero)
        {
            using var due = CancellationTokenSource.CreateLinkedTokenSource(_leaving.Token);
            due.CancelAfter(left);
            try
            {
                if (_state.IsNameTaken || !await events.WaitToReadAsync(due.Token).ConfigureAwait(false))
                    await Task.Delay(left, due.Token).ConfigureAwait(false);
                await Task.Delay(s_gathering, _leaving.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            var told = new List<FleetEvent>();
            while (told.Count < MaxEvents && events.TryRead(out var what))
                told.Add(_source.Tell(what));
            if (told.Count == 0)
                continue;
            _directory.Tell(new FleetActor.Look());
            await life.Database.PublishAsync(_node.Name, told, _giveUp.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Hears of what happens elsewhere for as long as the connection beside this one lives.</summary>
    private async Task ListenAsync(CancellationToken ending)
    {
        try
        {
            await using var listener = await FleetListener.OpenAsync(_address, _node.Name, ending).ConfigureAwait(false);
            Hear(await listener.CatchUpAsync(ending).ConfigureAwait(false), isLate: true);
            while (!ending.IsCancellationRequested)
                Hear(await listener.WaitAsync(s_beat, ending).ConfigureAwait(false), isLate: false);
        }
        catch (FleetException)
        {
            // The next beat says what is wrong, or begins anew to listen.
            _state.Failures++;
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
        }
    }

    private void Hear(IReadOnlyList<(long Number, string Node, FleetEvent Event)> events, bool isLate)
    {
        foreach (var (number, _, what) in events)
        {
            if (!_heard.Add(number))
                continue;
            _heardOrder.Enqueue(number);
            if (_heardOrder.Count > 4096)
                _ = _heard.Remove(_heardOrder.Dequeue());
            // What was told before this node was there is not news to anybody.
            if (!isLate || _hasListened)
                _source.Hear(what);
        }

        _hasListened = true;
    }

    private async Task LeaveAsync(FleetLife life)
    {
        if (!await BeatAsync(life).ConfigureAwait(false))
            return;
        await CatchUpAsync(life).ConfigureAwait(false);
        await life.Database.LeaveAsync(_node, _giveUp.Token).ConfigureAwait(false);
    }

    private void OnUp()
    {
        (_takenSince, _state.IsNameTaken) = (null, false);
        if (_state.Reach.IsUp)
            return;
        _state.Reach = new(true, _time.GetUtcNow(), null);
        _told = null;
        CollectorLog.CatalogueUp(_log, $"{_address}", _node.Name);
    }

    private void OnDown(FleetException e)
    {
        // What happened a while ago is news to nobody; the dumps themselves are told of.
        while (_source.Events.Events.TryRead(out _))
        {
        }

        _state.Failures++;
        _source.Limits.Elsewhere = null;
        var before = _state.Reach;
        _state.Reach = new(false, before.IsUp || before.Since is null ? _time.GetUtcNow() : before.Since, e.Message);
        // Each trouble is told of once.
        if (_told != e.Message)
            CollectorLog.CatalogueDown(_log, $"{_address}", e.Message);
        _told = e.Message;
    }

    /// <summary>After a node was started anew elsewhere, its name is taken for as long as it takes to count as dead.</summary>
    private void OnNameTaken()
    {
        _takenSince ??= _time.GetTimestamp();
        _source.Limits.Elsewhere = null;
        var before = _state.Reach;
        _state.Reach = new(false, before.IsUp ? _time.GetUtcNow() : before.Since, $"another live node is called {_node.Name} as well");
        if (_state.IsNameTaken || _time.GetElapsedTime(_takenSince.Value) < s_settling)
            return;
        _state.IsNameTaken = true;
        CollectorLog.NodeNameTaken(_log, _node.Name);
    }

    private static long NowUs => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000);

    /// <summary>Asks who looks at the directory; the default where that takes long, or an earlier question is not answered yet.</summary>
    private async Task<TReply?> AskAsync<TReply>(Func<Reply<TReply>, FleetActor.Message> message)
    {
        if (!_asking.IsCompleted && await Task.WhenAny(_asking, Task.Delay(s_directoryPatience)).ConfigureAwait(false) != _asking)
            return default;
        var answer = _directory.Ask(message, s_directoryDeadline, _time);
        _asking = answer;
        _ = await Task.WhenAny(answer, Task.Delay(s_directoryPatience)).ConfigureAwait(false);
        return answer.IsCompletedSuccessfully ? answer.Result : default;
    }

    private async Task RestAsync(TimeSpan time) => await Task.Delay(time, _leaving.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    /// <summary>What belongs to one connection.</summary>
    private sealed class FleetLife
    {
        public required FleetDatabase Database { get; init; }

        /// <summary>From then on who is silent is dead.</summary>
        public required long SettledAt { get; init; }

        public required long StatementsBefore { get; init; }

        /// <summary>The catalogue may have sessions of this node, from an earlier life too.</summary>
        public bool HadSessions { get; set; } = true;

        public long Tallied { get; set; } = -1;
        public bool IsCompared { get; set; }

        /// <summary>The directory is being compared with the catalogue.</summary>
        public Task<IReadOnlyList<string>>? Comparing { get; set; }
        public long Refused { get; set; }
        public int Reconciled { get; set; }
        public long TidiedAt { get; set; }
        public IReadOnlyDictionary<string, (string? Path, string Digest)> Known { get; set; } = new Dictionary<string, (string?, string)>();
        public Queue<string> Different { get; set; } = new();
    }
}
