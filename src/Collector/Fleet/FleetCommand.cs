using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Fleet;

/// <summary>The catalogue for commands: they ask it themselves, and whoever runs them need not reach any node.</summary>
internal static class FleetCommand
{
    /// <summary>More dumps than these a list does not show; the API pages through all.</summary>
    private const int MaxDumps = 100_000;

    /// <summary>The settings that lead to the catalogue.</summary>
    public static IReadOnlyList<Setting> Settings { get; } = [SettingsTable.Cluster, SettingsTable.ClusterFile];

    /// <summary>Where the catalogue is; null where none is set.</summary>
    /// <exception cref="UsageException">The settings are wrong.</exception>
    public static ClusterAddress? AddressOf(SettingsResolution settings) => FleetHost.AddressOf(settings.Value(SettingsTable.Cluster), settings.Value(SettingsTable.ClusterFile));

    /// <summary>Sessions of all nodes, the longest running first; null, and a complaint, where the catalogue does not answer.</summary>
    public static IReadOnlyList<SessionRow>? Sessions(ClusterAddress address, CommandIo io) => Ask(address, io, async reader =>
    {
        var snapshot = await reader.SnapshotAsync("", io.Stop).ConfigureAwait(false);
        return (IReadOnlyList<SessionRow>)[.. snapshot.Sessions.Select(session => FleetSessions.RowOf(session, snapshot.IsOrphaned(session))).OrderBy(session => session.StartedAt)];
    });

    /// <summary>The nodes and the newest dumps; null, and a complaint, where the catalogue does not answer.</summary>
    public static FleetGlance? Glance(ClusterAddress address, int dumps, CommandIo io) => Ask(address, io, async reader =>
    {
        var snapshot = await reader.SnapshotAsync("", io.Stop).ConfigureAwait(false);
        var (newest, _) = await reader.DumpsAsync(new() { IsDescending = true, Limit = dumps }, io.Stop).ConfigureAwait(false);
        return new FleetGlance([.. snapshot.Nodes.Select(NodeRow.Of)], [.. newest.Select(FleetView.RowOf)]);
    });

    /// <summary>Dumps of all nodes, the oldest first; null, and a complaint, where the catalogue does not answer.</summary>
    public static IReadOnlyList<DumpList.Row>? Dumps(ClusterAddress address, CommandIo io) => Ask(address, io, async reader =>
    {
        var (dumps, total) = await reader.DumpsAsync(new() { IsDescending = true, Limit = MaxDumps }, io.Stop).ConfigureAwait(false);
        if (total > dumps.Count)
            io.Complain($"only the newest {dumps.Count} of {total} dumps are shown");
        return (IReadOnlyList<DumpList.Row>)[.. dumps.Reverse().Select(FleetView.RowOf)];
    });

    /// <summary>Asks the catalogue; null, and a complaint, where it does not answer.</summary>
    public static T? Ask<T>(ClusterAddress address, CommandIo io, Func<FleetReader, Task<T>> ask) where T : class
    {
        try
        {
            return AskAsync(address, ask).GetAwaiter().GetResult();
        }
        catch (FleetException e)
        {
            io.Complain($"catalogue {address}: {e.Message}");
        }
        catch (OperationCanceledException)
        {
            // Whoever waits has given up.
        }

        return null;
    }

    private static async Task<T> AskAsync<T>(ClusterAddress address, Func<FleetReader, Task<T>> ask)
    {
        await using var reader = FleetReader.Open(address, "command");
        return await ask(reader).ConfigureAwait(false);
    }
}
