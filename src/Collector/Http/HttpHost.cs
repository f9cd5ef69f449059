using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Webhooks;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Collector.Http;

/// <summary>Has HTTP answered beside a running server, and ended with it.</summary>
internal sealed class HttpHost : IDisposable
{
    /// <summary>The runtime's own meter: collections, locks, threads.</summary>
    private const string RuntimeMeter = "System.Runtime";

    /// <summary>Files that are sent at one time: each may keep a disk busy, and a thread where the disk hangs.</summary>
    private const int MaxDownloads = 4;

    /// <summary>Changes that are made, and manifests that are read, at one time; each of the two.</summary>
    private const int MaxFileWork = 4;

    /// <summary>Requests that are being answered when the server ends may take so long.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromMilliseconds(100);

    private readonly CancellationTokenSource _stopping = new();
    private readonly BlockingWork _downloads = new("download", MaxDownloads, background: true);
    private readonly BlockingWork _changes = new("change", MaxFileWork, background: false);
    private readonly BlockingWork _reads = new("manifest", MaxFileWork, background: false);
    private readonly PrometheusExporter _metrics;
    private readonly HttpAccess? _access;
    private readonly Task<HttpService?> _service;

    private HttpHost(CollectorSettings settings, Server server, FleetView? fleet, ILogger log)
    {
        var access = _access = HttpAccess.Of(settings, log);
        _metrics = new(server.Metrics.Meter, RuntimeMeter);
        var live = server.Watch();
        var denials = new Denials(server.Metrics, access?.Audit, TimeProvider.System, log);
        var catalog = new RecentCatalog(settings.Directory, TimeProvider.System);
        var finder = new DumpFinder(live, catalog, fleet);
        // Who asks for a deletion by name is obeyed, whether the dump is in the object store or not.
        var needs = new DumpNeeds(settings.Script is null ? TimeSpan.Zero : TimeSpan.FromSeconds(settings.ScriptTimeoutSeconds));
        var rows = new SessionRows(live, fleet);
        var api = new ApiEndpoints(
            rows,
            finder,
            fleet,
            new(rows, server.Metrics.Events, fleet?.Node, CollectorSource.Of(settings.Node), _stopping.Token),
            new(finder, _downloads, access?.Audit),
            new(finder, catalog, _changes, access?.Audit, needs, log),
            _reads);
        var frame = new HttpFrame(settings.Http.EndPoint!.Address, denials, log);
        var gate = new AccessGate(access?.Tokens, denials, _stopping.Token);
        var pages = new PageEndpoints(StatusPage.Of(settings, server, rows, catalog, fleet), TimeProvider.System);
        var metrics = _metrics;
        _service = Task.Run(() => HttpService.StartAsync(settings, frame, gate, metrics, server.Readiness, api, pages, log));
        _service.ContinueWith(failed => CollectorLog.ActorFailed(log, "http", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
    }

    /// <summary>Begins to answer, some time after this returns; null where the settings want no HTTP.</summary>
    /// <param name="settings">Where, and encrypted by what.</param>
    /// <param name="server">What it tells of.</param>
    /// <param name="fleet">What is known of other nodes; null without a fleet.</param>
    /// <param name="log">The log.</param>
    public static HttpHost? Start(CollectorSettings settings, Server server, FleetView? fleet, ILogger log)
    {
        if (settings.Http.EndPoint is null)
            return null;
        HttpAccess.WarnOfOpenness(settings, log);
        return new(settings, server, fleet, log);
    }

    public void Dispose()
    {
        _stopping.Cancel();
        var ended = Task.Run(async () =>
        {
            if (await _service.ConfigureAwait(false) is { } service)
                await service.DisposeAsync().ConfigureAwait(false);
        });
        _ = Task.WhenAny(ended, Task.Delay(s_endPatience)).Wait(s_endPatience);
        _downloads.Dispose();
        _changes.Dispose();
        _reads.Dispose();
        _access?.Dispose();
        _metrics.Dispose();
        _stopping.Dispose();
    }
}
