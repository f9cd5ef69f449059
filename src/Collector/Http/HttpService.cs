using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Collector.Http;

/// <summary>Answers those who watch: metrics, health, the state of sessions and dumps.</summary>
/// <remarks>Begins when heralds are answered already, on threads of its own kind; that it cannot begin, or ends, concerns no dump.</remarks>
internal sealed class HttpService : IAsyncDisposable
{
    private readonly WebApplication _application;

    private HttpService(WebApplication application) => _application = application;

    /// <summary>Starts to answer; null, and a line in the log, where the address cannot be had.</summary>
    public static async Task<HttpService?> StartAsync(HttpBinding binding, PrometheusExporter metrics, Readiness readiness, ApiEndpoints api, ILogger log)
    {
        // Nothing of the environment or of files steers it: settings are ours.
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // Descriptors are for dumps: these come out of what DescriptorBudget keeps for everything else.
            kestrel.Limits.MaxConcurrentConnections = 32;
            kestrel.Limits.MaxRequestBodySize = 64 << 10;
            kestrel.Listen(binding.EndPoint!);
        });
        builder.Services.AddRoutingCore();
        // Signals are the program's own.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        var application = builder.Build();
        application.UseRouting();
        application.MapGet("/metrics", context => WriteMetricsAsync(context, metrics));
        application.MapGet("/healthz", context => WriteTextAsync(context, StatusCodes.Status200OK, "ok"));
        application.MapGet("/readyz", context => WriteReadinessAsync(context, readiness));
        api.Map(application);
        try
        {
            await application.StartAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            CollectorLog.HttpNotServed(log, binding.ToString(), (e.InnerException ?? e).Message);
            await application.DisposeAsync().ConfigureAwait(false);
            return null;
        }

        CollectorLog.HttpServed(log, application.Urls.First());
        return new(application);
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    private static async Task WriteMetricsAsync(HttpContext context, PrometheusExporter metrics)
    {
        var format = ExpositionFormats.Negotiate(context.Request.Headers.Accept);
        context.Response.ContentType = format.ContentType();
        await context.Response.WriteAsync(await metrics.WriteAsync(format).ConfigureAwait(false), context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task WriteReadinessAsync(HttpContext context, Readiness readiness)
    {
        string? obstacle = await readiness.ObstacleAsync().ConfigureAwait(false);
        await WriteTextAsync(context, obstacle is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, obstacle ?? "ready").ConfigureAwait(false);
    }

    private static Task WriteTextAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(text + "\n", context.RequestAborted);
    }
}
