using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Fleet;

/// <summary>A node; its JSON is a published format.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">live, dead or left.</param>
/// <param name="Address">Where heralds come to.</param>
/// <param name="Port">UDP port that they come to.</param>
/// <param name="Url">Where its HTTP is reached, or null.</param>
/// <param name="Version">Of the program.</param>
/// <param name="StartedAt">When it started, UTC.</param>
/// <param name="SilentSeconds">How long ago it was heard of, by the database's clock.</param>
/// <param name="Receiving">Dumps that arrive there, as it said last.</param>
/// <param name="Directory">Number of its dump directory; nodes that share one have the same.</param>
internal sealed record NodeRow(string Name, string State, string Address, int Port, string? Url, string Version, DateTime StartedAt, double SilentSeconds, int Receiving, Guid Directory)
{
    public static NodeRow Of(FleetNode node) => new(node.Identity.Name, node.State.ToString().ToLowerInvariant(), node.Identity.Address, node.Identity.Port, node.Identity.Url, node.Identity.Version,
        node.Identity.StartedAt.UtcDateTime, Math.Round(node.Silence.TotalSeconds, 3), node.Dumps, node.Identity.Directory);
}
