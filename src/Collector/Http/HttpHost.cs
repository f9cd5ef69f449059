using System.Net;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Collector.Webhooks;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Collector.Http;

/// <summary>Has HTTP answered beside a running server, and ended with it.</summary>
internal sealed class HttpHost : IDisposable
{
    /// <summary>The runtime's own meter: collections, locks, threads.</summary>
    private const string RuntimeMeter = "System.Runtime";

    /// <summary>Requests that are being answered when the server ends may take so long.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromMilliseconds(100);

    private readonly CancellationTokenSource _stopping;
    private readonly PrometheusExporter _metrics;
    private readonly Task<HttpService?> _service;

    private HttpHost(PrometheusExporter metrics, Task<HttpService?> service, CancellationTokenSource stopping)
    {
        _stopping = stopping;
        _metrics = metrics;
        _service = service;
    }

    /// <summary>Begins to answer, some time after this returns; null where the settings want no HTTP.</summary>
    public static HttpHost? Start(CollectorSettings settings, Server server, ILogger log)
    {
        if (settings.Http.EndPoint is null)
            return null;
        if (!IPAddress.IsLoopback(settings.Http.EndPoint.Address))
            CollectorLog.HttpIsOpen(log, settings.Http.ToString());
        var live = server.Watch();
        var stopping = new CancellationTokenSource();
        var events = new EventStream(live, server.Metrics.Events, CollectorSource.Name, stopping.Token);
        var api = new ApiEndpoints(live, new(settings.Directory, TimeProvider.System), events);
        var metrics = new PrometheusExporter(server.Metrics.Meter, RuntimeMeter);
        var service = Task.Run(() => HttpService.StartAsync(settings.Http, metrics, server.Readiness, api, log));
        service.ContinueWith(failed => CollectorLog.ActorFailed(log, "http", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return new(metrics, service, stopping);
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
        _metrics.Dispose();
        _stopping.Dispose();
    }
}
