using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests.Otlp;

/// <summary>What an OpenTelemetry collector is to a program: takes OTLP by HTTP with protobuf bodies, and by gRPC.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ConcurrentQueue<(string Path, string? Header, ProtoMessage Message)> _requests = new();
    private readonly bool _isGrpc;

    private OtlpReceiver(bool isGrpc)
    {
        _isGrpc = isGrpc;
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, listener => listener.Protocols = isGrpc ? HttpProtocols.Http2 : HttpProtocols.Http1));
        builder.Services.AddSingleton<IHostLifetime, Unattached>();
        _application = builder.Build();
        _application.Run(ReceiveAsync);
    }

    public string Url => _application.Urls.First();

    /// <summary>The environment of a program that exports all to it, and soon.</summary>
    public string[] Environment =>
    [
        $"OTEL_EXPORTER_OTLP_ENDPOINT={Url}", $"OTEL_EXPORTER_OTLP_PROTOCOL={(_isGrpc ? "grpc" : "http/protobuf")}", "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=crash",
        "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_BLRP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=200",
    ];

    public IReadOnlyList<OtlpSpan> Spans => [.. Messages("trace").SelectMany(OtlpContent.Spans)];

    public IReadOnlyList<OtlpLog> Logs => [.. Messages("logs").SelectMany(OtlpContent.Logs)];

    public IReadOnlyList<OtlpPoint> Points => [.. Messages("metrics").SelectMany(OtlpContent.Points)];

    /// <summary>Values of a header of all requests.</summary>
    public IEnumerable<string?> Headers => _requests.Select(request => request.Header);

    public static async Task<OtlpReceiver> StartAsync(bool isGrpc = false)
    {
        var receiver = new OtlpReceiver(isGrpc);
        await receiver._application.StartAsync();
        return receiver;
    }

    /// <summary>The one span of a name, once it is there.</summary>
    public Task<OtlpSpan> SpanAsync(string name) => Eventually.Gets(() => Spans.SingleOrDefault(span => span.Name == name), $"span {name}; there are {string.Join(' ', Spans.Select(span => span.Name))}");

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    private IEnumerable<ProtoMessage> Messages(string signal) =>
        _requests.Where(request => request.Path.Contains(signal, StringComparison.OrdinalIgnoreCase)).Select(request => request.Message);

    private async Task ReceiveAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        ReadOnlyMemory<byte> bytes = body.ToArray();
        if (_isGrpc)
        {
            // A byte that says whether it is compressed, and four of its length. Source: github.com/grpc/grpc, "PROTOCOL-HTTP2.md".
            Assert.Equal(0, bytes.Span[0]);
            bytes = bytes[5..];
        }

        _requests.Enqueue((context.Request.Path, context.Request.Headers["x-tenant"], new(bytes)));
        context.Response.ContentType = _isGrpc ? "application/grpc" : "application/x-protobuf";
        if (!_isGrpc)
            return;
        await context.Response.Body.WriteAsync(new byte[5]);
        context.Response.AppendTrailer("grpc-status", "0");
    }

    /// <summary>Signals are the test run's own.</summary>
    private sealed class Unattached : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
