using NetdumpCollector.Collector.Dumps;

namespace NetdumpCollector.Collector.Fleet;

/// <summary>What is seen of a fleet at one look.</summary>
/// <param name="Nodes">All nodes that the catalogue knows; none where there is no fleet.</param>
/// <param name="Dumps">The newest dumps, the newest first.</param>
internal sealed record FleetGlance(IReadOnlyList<NodeRow> Nodes, IReadOnlyList<DumpList.Row> Dumps)
{
    public static FleetGlance None { get; } = new([], []);
}
