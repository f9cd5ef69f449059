using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Http.Access;
using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Collector.Http;

/// <summary>Answers those who watch: metrics, health, the state of sessions and dumps.</summary>
/// <remarks>Begins when heralds are answered already, on threads of its own kind; that it cannot begin, or ends, concerns no dump.</remarks>
internal sealed class HttpService : IAsyncDisposable
{
    private static readonly string[] s_read = [HttpMethods.Get, HttpMethods.Head];

    private readonly WebApplication _application;

    private HttpService(WebApplication application) => _application = application;

    /// <summary>Starts to answer; null, and a line in the log, where the address or the certificate cannot be had.</summary>
    public static async Task<HttpService?> StartAsync(CollectorSettings settings, HttpFrame frame, AccessGate gate, PrometheusExporter metrics, Readiness readiness, ApiEndpoints api, PageEndpoints pages, ILogger log)
    {
        WebApplication? application = null;
        try
        {
            application = Build(settings, log);
            // Pages set a Content-Security-Policy of their own. Each answer is framed, whoever gives it; who may ask is decided where it is known what for.
            application.Use(frame.AnswerAsync);
            application.UseRouting();
            application.Use(gate.PassAsync);
            application.MapMethods("/metrics", s_read, context => WriteMetricsAsync(context, metrics)).OpenToAll();
            application.MapMethods("/healthz", s_read, context => WriteTextAsync(context, StatusCodes.Status200OK, "ok")).OpenToAll();
            application.MapMethods("/readyz", s_read, context => WriteReadinessAsync(context, readiness)).OpenToAll();
            api.Map(application);
            pages.Map(application);
            await application.StartAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or UnauthorizedAccessException or CryptographicException)
        {
            CollectorLog.HttpNotServed(log, settings.Http.ToString(), (e.InnerException ?? e).Message);
            if (application is not null)
                await application.DisposeAsync().ConfigureAwait(false);
            return null;
        }

        CollectorLog.HttpServed(log, application.Urls.First());
        return new(application);
    }

    private static WebApplication Build(CollectorSettings settings, ILogger log)
    {
        var certificate = settings.HttpCertificate is string file ? CertificateFiles.Open(file, settings.HttpKey, TimeProvider.System, log) : null;
        // Nothing of the environment or of files steers it: settings are ours.
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // Descriptors are for dumps: these come out of what DescriptorBudget keeps for everything else.
            kestrel.Limits.MaxConcurrentConnections = 32;
            // No request has a body, and none is long; who is slower than these has a place of others.
            kestrel.Limits.MaxRequestBodySize = 64 << 10;
            kestrel.Limits.MaxRequestLineSize = 4 << 10;
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 << 10;
            kestrel.Limits.MaxRequestHeaderCount = 64;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(10);
            kestrel.Listen(settings.Http.EndPoint!, listener =>
            {
                // One request at a time on a connection, so that what is counted by connections is counted.
                listener.Protocols = HttpProtocols.Http1;
                if (certificate is not null)
                    listener.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(certificate.Current) });
            });
        });
        builder.Services.AddRoutingCore();
        // Signals are the program's own.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        return builder.Build();
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
