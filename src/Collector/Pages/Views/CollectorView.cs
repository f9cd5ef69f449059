namespace NetdumpCollector.Collector.Pages;

/// <summary>What every page says of the collector.</summary>
/// <param name="Version">Name and version of the program.</param>
/// <param name="Machine">The machine that it runs on.</param>
/// <param name="Directory">The dump directory.</param>
/// <param name="StartedAt">Since when it is up.</param>
/// <param name="Now">The time that the page is of.</param>
/// <param name="Obstacle">Why it would not take dumps, null when it is ready.</param>
/// <param name="Sessions">Who is dumping.</param>
/// <param name="Fleet">The other nodes; null without a fleet.</param>
public sealed record CollectorView(string Version, string Machine, string Directory, DateTimeOffset StartedAt, DateTimeOffset Now, string? Obstacle, SessionsView Sessions, NodesView? Fleet = null);
