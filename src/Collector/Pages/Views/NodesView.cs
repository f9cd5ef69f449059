using NetdumpCollector.Collector.Fleet;

namespace NetdumpCollector.Collector.Pages;

/// <summary>The fleet as pages show it.</summary>
/// <param name="Node">This node.</param>
/// <param name="Notice">Why only this node is shown, or null.</param>
/// <param name="Nodes">All nodes, by their names; none while only this one is shown.</param>
public sealed record NodesView(string Node, string? Notice, IReadOnlyList<NodeView> Nodes)
{
    public int Live => Nodes.Count(node => node.State == "live");

    internal static NodesView? Of(FleetView? fleet) => fleet is null ? null : new(fleet.Node, fleet.Notice,
        [.. fleet.Nodes.Select(node => new NodeView(node.Name, node.State, node.Url, node.Version, node.StartedAt, node.SilentSeconds, node.Receiving))]);
}

/// <summary>A node of the fleet as a page shows it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">live, dead or left.</param>
/// <param name="Url">Where its pages are, or null.</param>
/// <param name="Version">Of its program.</param>
/// <param name="StartedAt">When it started.</param>
/// <param name="SilentSeconds">How long ago it was heard of.</param>
/// <param name="Receiving">Dumps that arrive there.</param>
public sealed record NodeView(string Name, string State, string? Url, string Version, DateTimeOffset StartedAt, double SilentSeconds, int Receiving);
