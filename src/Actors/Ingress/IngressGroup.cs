using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>The ingresses of all event loops: which of them a client belongs to, and what is limited for all together.</summary>
public sealed class IngressGroup(int count)
{
    /// <summary>Runs of packets on their way from one loop to another: few, because the kernel brings nearly all to the right one.</summary>
    private const int MaxForwarded = 256;

    private readonly ActorRef<IngressActor.Message>?[] _members = new ActorRef<IngressActor.Message>?[count];
    private readonly IngressActor?[] _owners = new IngressActor?[count];
    private volatile bool _isResuming;
    private int _runningDumps;
    private int _openDumps;
    private int _lingering;
    private int _ownEndpoints;
    private int _forwarded;
    private Admission? _admission;

    /// <summary>Event loops, each with its ingress.</summary>
    public int Count { get; } = count;

    /// <summary>Every ingress that was spawned, by the number of its loop.</summary>
    public IEnumerable<ActorRef<IngressActor.Message>> Members => _members.OfType<ActorRef<IngressActor.Message>>();

    /// <summary>The ingress of the loop that a client belongs to; all must have been spawned.</summary>
    public ActorRef<IngressActor.Message> Of(Ipv4 client) => _members[Count == 1 ? 0 : SourceShards.ShardOf(client, Count)]!;

    /// <summary>Dumps of an earlier process are yet to get their ports back: no herald is answered, lest it be given one of them. Kernels repeat heralds each second.</summary>
    public bool IsResuming
    {
        get => _isResuming;
        set => _isResuming = value;
    }

    /// <summary>Dumps that have data and have not ended.</summary>
    public int RunningDumps => Volatile.Read(ref _runningDumps);

    /// <summary>Sessions with a socket of their own.</summary>
    public int OwnEndpoints => Volatile.Read(ref _ownEndpoints);

    /// <summary>How many dumps may run on all nodes together.</summary>
    public FleetLimits FleetLimits { get; init; } = new(null);

    /// <summary>The fleet, where packets of sessions that other nodes had are continued here although nothing of those dumps is; null where they are not.</summary>
    public FleetState? Fleet { get; init; }

    /// <summary>Whose heralds are answered; there once an ingress is.</summary>
    internal Admission Admission => _admission!;

    /// <summary>Starts the ingress of one loop; in ascending order, the later ones on the port that the first one got.</summary>
    /// <returns>Its herald socket.</returns>
    /// <exception cref="EndpointException">The address or port cannot be had.</exception>
    public Task<IUdpEndpoint> SpawnAsync(int shard, SessionEnvironment environment, IngressOptions options)
    {
        _admission ??= new(options.Admission);
        var bound = new TaskCompletionSource<IUdpEndpoint>(TaskCreationOptions.RunContinuationsAsynchronously);
        var ingress = environment.System.Spawn<IngressActor.Message>($"ingress-{shard}", environment.Loop,
            () => new IngressActor(environment, options, this, shard, bound),
            new() { MailboxCapacity = 65_536, Strategy = SupervisorStrategy.Resume });
        Volatile.Write(ref _members[shard], ingress);
        return bound.Task;
    }

    internal bool Owns(int shard, Ipv4 client) => Count == 1 || SourceShards.ShardOf(client, Count) == shard;

    /// <summary>The ingress of a loop can be passed packets from now on.</summary>
    internal void Join(int shard, IngressActor ingress) => Volatile.Write(ref _owners[shard], ingress);

    /// <summary>The ingress that a client belongs to; null while it is not there yet.</summary>
    internal IngressActor? OwnerOf(Ipv4 client) => Volatile.Read(ref _owners[SourceShards.ShardOf(client, Count)]);

    /// <summary>One more dump may run, here and in the fleet.</summary>
    internal bool HasRoom(IngressOptions options) => RunningDumps < options.MaxSessions && FleetLimits.Allow(RunningDumps + 1);

    /// <summary>Counts one more dump, unless there are as many as may be.</summary>
    internal bool TryAddDump(IngressOptions options)
    {
        AddDump();
        if (RunningDumps <= options.MaxSessions && FleetLimits.Allow(RunningDumps) && Volatile.Read(ref _openDumps) <= options.MaxOpenDumps)
            return true;
        RemoveRunningDump();
        RemoveOpenDump();
        return false;
    }

    /// <summary>Counts a dump that must not be refused.</summary>
    internal void AddDump()
    {
        Interlocked.Increment(ref _runningDumps);
        Interlocked.Increment(ref _openDumps);
    }

    internal void RemoveRunningDump() => Interlocked.Decrement(ref _runningDumps);

    /// <summary>A dump that ended is durable, or could not be made so: its files are closed.</summary>
    internal void RemoveOpenDump() => Interlocked.Decrement(ref _openDumps);

    /// <returns>Sessions that have ended and answer a repeated FINISHED, with this one.</returns>
    internal int AddLingering() => Interlocked.Increment(ref _lingering);

    internal void RemoveLingering() => Interlocked.Decrement(ref _lingering);

    internal void AddOwnEndpoint() => Interlocked.Increment(ref _ownEndpoints);

    internal void RemoveOwnEndpoint() => Interlocked.Decrement(ref _ownEndpoints);

    /// <summary>Room for one run of packets; null when too many are under way, which costs the client a retransmission.</summary>
    internal Staging? TryLease(StagingPool pool)
    {
        if (Interlocked.Increment(ref _forwarded) <= MaxForwarded)
            return pool.Rent();
        Interlocked.Decrement(ref _forwarded);
        return null;
    }

    internal void Release(StagingPool pool, Staging packets)
    {
        pool.Return(packets);
        Interlocked.Decrement(ref _forwarded);
    }
}
