using System.Globalization;
using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Fleet;

/// <summary>What is known of the other nodes, for those who watch. While the catalogue does not answer there is nothing but this node, and a notice that says so.</summary>
/// <param name="node">This node's name.</param>
/// <param name="url">Where others reach it, or null.</param>
/// <param name="state">What was learned last.</param>
/// <param name="reader">Asks for what is not known beforehand; made when somebody first asks.</param>
/// <param name="time">The clock.</param>
internal sealed class FleetView(string node, string? url, FleetState state, Lazy<FleetReader> reader, TimeProvider time)
{
    /// <summary>The header that says why an answer shows this node only.</summary>
    public const string NoticeHeader = "Netdump-Notice";

    /// <summary>The header that says which node's dump an answer is about.</summary>
    public const string NodeHeader = "Netdump-Node";

    /// <summary>After so many beats without an answer what was learned last says nothing about now.</summary>
    private static readonly TimeSpan s_stale = TimeSpan.FromSeconds(5);

    /// <summary>A catalogue that takes longer counts as one that does not answer, so that a page has what is known here.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(800);

    public string Node => node;

    /// <summary>Why only this node is shown, in words; null while the whole fleet is.</summary>
    public string? Notice
    {
        get
        {
            if (state.IsNameTaken)
                return $"another live node is called {node} as well: this node is not in the catalogue; this node only";
            var reach = state.Reach;
            if (!reach.IsUp)
                return reach.Since is { } since ? $"catalogue unreachable since {Stamp(since)}; this node only" : "catalogue not reached yet; this node only";
            var silence = time.GetElapsedTime(state.AnsweredAt);
            return silence > s_stale ? $"catalogue unreachable since {Stamp(time.GetUtcNow() - silence)}; this node only" : null;
        }
    }

    /// <summary>Why the catalogue cannot be used, or null.</summary>
    public string? Problem => state.Reach.Problem;

    /// <summary>Dumps that other nodes receive, or received when they died.</summary>
    public IEnumerable<SessionRow> Sessions
    {
        get
        {
            var snapshot = Notice is null ? state.Snapshot : FleetSnapshot.Empty;
            return snapshot.Sessions.Select(session => FleetSessions.RowOf(session, snapshot.IsOrphaned(session)));
        }
    }

    /// <summary>The same dumps, as lists of dumps show them.</summary>
    public IEnumerable<DumpList.Row> Unended
    {
        get
        {
            var snapshot = Notice is null ? state.Snapshot : FleetSnapshot.Empty;
            return snapshot.Sessions.Select(session => new DumpList.Row(session.DumpId, null, session.Client.ToString(), session.StartedAt.UtcDateTime, session.Bytes,
                snapshot.IsOrphaned(session) ? DumpList.Interrupted : DumpList.Receiving, null, session.Path, Pinned: false, session.Node)
            { Continues = session.Continues });
        }
    }

    /// <summary>All nodes; this one alone while the catalogue does not answer.</summary>
    public IReadOnlyList<NodeRow> Nodes => Notice is null ? [.. state.Snapshot.Nodes.Select(NodeRow.Of)] : [];

    /// <summary>Other nodes' ended dumps that match, the first of them, and how many there are; those of this node's directory are not among them.</summary>
    /// <returns>Null where the catalogue does not answer.</returns>
    public async Task<(IReadOnlyList<DumpList.Row> Rows, int Total)?> DumpsAsync(FleetDumpQuery query, CancellationToken cancellation)
    {
        if (Notice is not null)
            return null;
        try
        {
            var (dumps, total) = await reader.Value.DumpsAsync(query with { NotIn = state.Directory }, cancellation).WaitAsync(s_patience, cancellation).ConfigureAwait(false);
            return ([.. dumps.Select(RowOf)], total);
        }
        catch (Exception e) when (e is FleetException or TimeoutException)
        {
            return null;
        }
    }

    /// <summary>Dumps of other nodes that a key may mean; none where the catalogue does not answer.</summary>
    public async Task<IReadOnlyList<FleetDump>> FindAsync(string key, CancellationToken cancellation)
    {
        if (Notice is not null)
            return [];
        try
        {
            return [.. (await reader.Value.FindAsync(key, cancellation).WaitAsync(s_patience, cancellation).ConfigureAwait(false)).Where(dump => dump.Directory != state.Directory || dump.Path is null)];
        }
        catch (Exception e) when (e is FleetException or TimeoutException)
        {
            return [];
        }
    }

    /// <summary>Where the files of a dump of another node can be had: at that node, or at another live one that shares its directory. Null where none says where it is reached.</summary>
    public string? UrlOf(FleetDump dump) => state.Snapshot.UrlOf(dump, except: url);

    internal static DumpList.Row RowOf(FleetDump dump) => new(dump.Id, dump.Host, dump.Client, dump.StartedAt.UtcDateTime, dump.Bytes, dump.Status.ToLowerInvariant(), dump.Panic, dump.Path ?? dump.Url ?? "-", dump.Pinned, dump.Node)
    { Continues = dump.Continues, Within = dump.Within };

    private static string Stamp(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
