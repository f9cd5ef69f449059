using System.Globalization;
using System.Text.Json;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Dumps;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Collector.Watch;

/// <summary>Who is dumping: as the catalogue of a fleet has it, where one is named, else as a running server tells, which then is also asked where the catalogue does not answer.</summary>
internal sealed class SessionSource : IDisposable
{
    private readonly RunningServer _server;
    private readonly ClusterAddress? _cluster;
    private readonly CommandIo _io;

    private SessionSource(RunningServer server, ClusterAddress? cluster, CommandIo io) => (_server, _cluster, _io) = (server, cluster, io);

    public static SessionSource Of(SettingsResolution settings, CommandIo io) => new(RunningServer.At(settings, io.Environment), FleetCommand.AddressOf(settings), io);

    /// <summary>The sessions; null, and a complaint, where nobody answers.</summary>
    public IReadOnlyList<SessionRow>? Read()
    {
        if (_cluster is not null)
        {
            if (FleetCommand.Sessions(_cluster, _io) is { } sessions)
                return sessions;
            _io.Complain("asking the server of --http instead");
        }

        return _server.Read("/api/v1/sessions", _io) is string text ? JsonSerializer.Deserialize<SessionRow[]>(text, JsonText.Indented) : null;
    }

    /// <summary>The nodes of the fleet and its newest dumps; none where there is no fleet, or nobody tells.</summary>
    public FleetGlance ReadFleet()
    {
        if (_cluster is not null && FleetCommand.Glance(_cluster, FleetTables.MaxDumps, _io) is { } glance)
            return glance;
        if (Part<NodeRow>("/api/v1/nodes", "nodes") is not { Length: > 0 } nodes)
            return FleetGlance.None;
        return new(nodes, Part<DumpList.Row>(string.Create(CultureInfo.InvariantCulture, $"/api/v1/dumps?sort=-startedAt&limit={FleetTables.MaxDumps}"), "dumps") ?? []);
    }

    private T[]? Part<T>(string path, string name) =>
        _server.Read(path, _io) is string text && JsonDocument.Parse(text).RootElement.TryGetProperty(name, out var part) ? part.Deserialize<T[]>(JsonText.Indented) : null;

    public void Dispose() => _server.Dispose();
}
