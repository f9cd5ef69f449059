using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Tracing;
using OpenTelemetry;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace NetdumpCollector.Collector.Otlp;

/// <summary>OpenTelemetry's library, told what to export. The only type that knows it, so that its assemblies are not loaded while nothing is to be exported.</summary>
/// <remarks>Queues are bounded (OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BLRP_MAX_QUEUE_SIZE: 2048 each) and emptied by the library's own threads; what finds them full is dropped.</remarks>
internal sealed class OtlpExport
{
    private const string ServiceName = "netdump-collector";

    /// <summary>The runtime's own meter.</summary>
    private const string RuntimeMeter = "System.Runtime";

    private readonly OpenTelemetrySdk _sdk;

    private OtlpExport(OpenTelemetrySdk sdk) => _sdk = sdk;

    /// <summary>Where log lines are to go to be exported; only where they are.</summary>
    public ILoggerFactory Loggers => _sdk.GetLoggerFactory();

    /// <summary>Begins to export. Takes some 100 ms of compiling.</summary>
    public static OtlpExport Start(OtlpSignals signals) => new(OpenTelemetrySdk.Create(builder =>
    {
        // In this order the operator's own words, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, come last.
        builder.ConfigureResource(resource => resource.Clear()
            .AddService(ServiceName, serviceVersion: typeof(OtlpExport).Assembly.GetName().Version?.ToString(3))
            .AddAttributes([new("host.name", Environment.MachineName), new("process.pid", Environment.ProcessId)])
            .AddTelemetrySdk()
            .AddEnvironmentVariableDetector());
        builder.WithTracing(tracing => tracing.AddSource(SpanSource.Name));
        builder.WithMetrics(metrics => metrics.AddMeter(CollectorMetrics.MeterName, RuntimeMeter));
        builder.WithLogging(configureBuilder: null, logs => logs.IncludeFormattedMessage = true);
        // The only way that reads the variables of single signals, but it knows no signal that is off.
        builder.UseOtlpExporter();
        if (!signals.Traces)
            builder.Services.RemoveAll<TracerProvider>();
        if (!signals.Metrics)
            builder.Services.RemoveAll<MeterProvider>();
        if (!signals.Logs)
            builder.Services.RemoveAll<LoggerProvider>();
    }));

    /// <summary>Exports what there is, all signals at a time.</summary>
    /// <param name="patience">Threads that take longer are left to themselves.</param>
    /// <param name="withMetrics">Measures once more, too: asks the event loops, which must still run.</param>
    /// <returns>False where some took longer.</returns>
    public bool Flush(TimeSpan patience, bool withMetrics)
    {
        int milliseconds = (int)patience.TotalMilliseconds;
        return Task.WaitAll(
            [
                Run(() => _sdk.TracerProvider.ForceFlush(milliseconds)),
                Run(() => _sdk.LoggerProvider.ForceFlush(milliseconds)),
                Run(() => withMetrics && _sdk.MeterProvider.ForceFlush(milliseconds)),
            ],
            patience);
    }

    /// <summary>Not on the pool, which the end of the server needs: an endpoint that never answers holds the thread.</summary>
    private static Task<bool> Run(Func<bool> flush) => Task.Factory.StartNew(flush, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
