using System.Diagnostics;
using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Fleet;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Webhooks;
using NetdumpCollector.Storage.Fleet;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Collector.Fleet;

/// <summary>Keeps a running server in touch with the other nodes by their catalogue, and ends with it. Whatever becomes of that concerns no dump.</summary>
/// <remarks>Only where a catalogue is set is the database's library loaded, and by threads of the pool, so that neither the start nor the end waits for it.</remarks>
internal sealed class FleetHost : IDisposable
{
    /// <summary>Events that wait for the catalogue; of more the oldest are told of, and all of them by the nodes' own lists of dumps.</summary>
    private const int EventCapacity = 1024;

    /// <summary>So long the end of the server waits for the catalogue while everything is served as before.</summary>
    private static readonly TimeSpan s_leavePatience = TimeSpan.FromMilliseconds(500);

    private readonly ThreadDispatcher _thread = new("fleet", 1);
    private readonly EventSubscription _events;
    private readonly FleetLink _link;

    private FleetHost(ClusterAddress address, CollectorSettings settings, Server server, ILogger log)
    {
        var time = TimeProvider.System;
        var state = server.Fleet!;
        var identity = IdentityOf(settings, server);
        var feed = server.Metrics.Events;
        _events = feed.Subscribe(EventCapacity);
        server.Metrics.Observe(new FleetReadings(state, time));
        var live = server.Watch();
        var directory = server.Actors.Spawn<FleetActor.Message>("fleet", _thread, () => new FleetActor(server.Root, identity.Name, state, log),
            new() { MailboxCapacity = 1024, Strategy = SupervisorStrategy.Resume });
        string source = CollectorSource.Of(identity.Name);
        var told = new FleetSource
        {
            Node = identity,
            Sessions = async () =>
            {
                var sessions = await live.SessionsAsync().ConfigureAwait(false);
                return (server.RunningDumps, [.. sessions.Where(session => session is { DumpId: not null, File: not null }).Select(session => FleetSessions.Of(session, identity.Name, server.Root))]);
            },
            Events = _events,
            Tell = what => new(what.At, what.Type, Encoding.UTF8.GetString(CloudEvent.ToJson(what, source, identity.Name))),
            Hear = what => feed.Publish(new ElsewhereHappened(what.At, what.Type, what.Json)),
            Storm = server.Storm,
            Limits = server.FleetLimits,
            SharesDirectory = settings.Takeover,
        };
        _link = new(address, told, directory, state, server.Metrics, time, log);
        View = new(identity.Name, identity.Url, state, new(() => FleetReader.Open(address, identity.Name)), time);
    }

    /// <summary>What is known of the fleet.</summary>
    public FleetView View { get; }

    /// <summary>Where the catalogue is; null where the settings want none.</summary>
    /// <exception cref="UsageException">They name a file that cannot be read, or what is no connection string.</exception>
    public static ClusterAddress? AddressOf(ClusterAddress? cluster, string? clusterFile)
    {
        try
        {
            var address = clusterFile is null ? cluster : ClusterAddress.FromFile(clusterFile);
            address?.Check();
            return address;
        }
        catch (FleetException e)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>Begins to tell the fleet of this node, some time after this returns; null where there is none.</summary>
    /// <param name="address">Where the catalogue is, or null.</param>
    /// <param name="settings">The node's name and addresses.</param>
    /// <param name="server">Runs.</param>
    /// <param name="log">The log.</param>
    public static FleetHost? Start(ClusterAddress? address, CollectorSettings settings, Server server, ILogger log) => address is null ? null : new(address, settings, server, log);

    /// <summary>Tells the fleet that the node ends, for half a second at most.</summary>
    public void Leave() => _link.Leave(s_leavePatience);

    public void Dispose()
    {
        _link.Dispose();
        _events.Dispose();
        _thread.Dispose();
    }

    private static NodeIdentity IdentityOf(CollectorSettings settings, Server server)
    {
        var (address, port) = server.HeraldEndpoint;
        using var process = Process.GetCurrentProcess();
        // Instance and directory are known when the dump directory has been looked at.
        return new(settings.Node, Guid.Empty, Guid.Empty, address.ToString(), port, UrlOf(settings), VersionAction.Text.Split(' ', '+')[1], process.StartTime.ToUniversalTime());
    }

    /// <summary>Where others reach the node's HTTP: an address, or the node's name where it is any.</summary>
    private static string? UrlOf(CollectorSettings settings)
    {
        if (settings.NodeUrl is { } given)
            return given.AbsoluteUri.TrimEnd('/');
        if (settings.Http.EndPoint is not { Port: not 0 } endPoint)
            return null;
        string scheme = settings.HttpCertificate is null ? "http" : "https";
        bool isAny = endPoint.Address.Equals(IPAddress.Any) || endPoint.Address.Equals(IPAddress.IPv6Any);
        return isAny ? $"{scheme}://{settings.Node}:{endPoint.Port}" : $"{scheme}://{endPoint}";
    }
}
