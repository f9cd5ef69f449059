using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>The fleet as it was a moment ago. Immutable: whoever has one reads it without waiting, an event loop too.</summary>
public sealed class FleetSnapshot
{
    private readonly Dictionary<string, FleetNode> _nodes;
    private readonly Lazy<Dictionary<Ipv4, FleetSession[]>> _orphans;

    /// <param name="nodes">All nodes, this one too.</param>
    /// <param name="sessions">Dumps of the other nodes that have not ended.</param>
    /// <param name="elsewhere">What other nodes have stored whole of each panic message in the hour that runs there.</param>
    public FleetSnapshot(IReadOnlyList<FleetNode> nodes, IReadOnlyList<FleetSession> sessions, IReadOnlyList<PanicTally> elsewhere)
    {
        Nodes = nodes;
        Sessions = sessions;
        Elsewhere = elsewhere;
        _nodes = nodes.ToDictionary(node => node.Identity.Name);
        // Made by whoever builds the snapshot for others (Index), so that no event loop does.
        _orphans = new(() => sessions.Where(IsOrphaned).GroupBy(session => session.Client)
            .ToDictionary(client => client.Key, client => client.GroupBy(session => session.Continues ?? session.DumpId)
                .OrderBy(dump => dump.Min(session => session.SilentSeconds)).SelectMany(dump => dump.OrderByDescending(session => session.Epoch)).ToArray()));
    }

    public static FleetSnapshot Empty { get; } = new([], [], []);

    public IReadOnlyList<FleetNode> Nodes { get; }

    public IReadOnlyList<FleetSession> Sessions { get; }

    public IReadOnlyList<PanicTally> Elsewhere { get; }

    public FleetNode? NodeOf(string name) => _nodes.GetValueOrDefault(name);

    /// <summary>Nobody receives the dump now: its node is dead, has left, or is not known any more.</summary>
    public bool IsOrphaned(FleetSession session) => NodeOf(session.Node) is not { State: FleetNodeState.Live };

    /// <summary>Dumps of a client that nobody receives now, the one first that was heard of last, and of its parts the one whose node had it last; few, mostly none.</summary>
    /// <remarks>Not by when they began: each node tells that by a clock of its own.</remarks>
    public ReadOnlySpan<FleetSession> OrphansOf(Ipv4 client) => _orphans.Value.TryGetValue(client, out var sessions) ? sessions : [];

    /// <summary>The dump that nobody receives now and whose packets came from this port of the client, the last one, or null.</summary>
    public FleetSession? FindOrphan(Ipv4 client, ushort clientPort)
    {
        foreach (var session in OrphansOf(client))
        {
            if (session.ClientPort == clientPort)
                return session;
        }

        return null;
    }

    /// <summary>Where the files of an ended dump can be had: at its node, or at another live one that shares its directory. Null where none says where it is reached.</summary>
    /// <param name="dump">The dump.</param>
    /// <param name="except">A node that is not asked: the one that wants to know.</param>
    public string? UrlOf(FleetDump dump, string? except = null) => dump.Path is null ? null : Nodes
        .Where(node => node.State == FleetNodeState.Live && node.Identity.Directory == dump.Directory && node.Identity.Url is not null && node.Identity.Url != except)
        .OrderByDescending(node => node.Identity.Name == dump.Node).FirstOrDefault()?.Identity.Url;

    /// <summary>Does now what looking would do at first.</summary>
    public FleetSnapshot Index()
    {
        _ = _orphans.Value;
        return this;
    }
}

/// <summary>Whole dumps of one panic message that a node has stored in the hour that runs there.</summary>
/// <param name="Signature">The message as <see cref="Protocol.Storm.PanicSignature"/> makes it.</param>
/// <param name="Dumps">How many.</param>
/// <param name="AgeUs">How long ago the hour began, in microseconds.</param>
public readonly record struct PanicTally(string Signature, int Dumps, long AgeUs);
