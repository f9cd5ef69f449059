using Microsoft.Extensions.Logging;
using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Otlp;

/// <summary>Has traces, metrics and logs exported beside a running server, and ended with it. Whatever becomes of that concerns no dump.</summary>
internal sealed class OtlpHost : IDisposable
{
    /// <summary>So long the end of the server waits for an endpoint while everything is served as before.</summary>
    private static readonly TimeSpan s_flushPatience = TimeSpan.FromSeconds(1);

    /// <summary>So long it waits once sockets are closed, for an endpoint that answered just before.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromMilliseconds(100);

    private readonly OtlpTroubles _troubles;
    private readonly Task<OtlpExport> _export;
    private bool _isAnswered;

    private OtlpHost(OtlpTroubles troubles, Task<OtlpExport> export)
    {
        _troubles = troubles;
        _export = export;
    }

    /// <summary>Begins to export, some time after this returns; null where nothing is to be exported.</summary>
    /// <param name="signals">What is.</param>
    /// <param name="server">Runs, so that what it measures is there.</param>
    /// <param name="logs">What it logs; null where logs are not exported.</param>
    /// <param name="log">Told what is wrong with the endpoint.</param>
    public static OtlpHost? Start(OtlpSignals signals, Server server, CopyingLoggers? logs, ILogger log)
    {
        if (signals.IsNone)
            return null;
        _ = server.Watch();
        var troubles = new OtlpTroubles(server.Metrics, TimeProvider.System, log);
        var export = Task.Run(() =>
        {
            var started = OtlpExport.Start(signals);
            logs?.CopyTo(started.Loggers);
            return started;
        });
        export.ContinueWith(failed => CollectorLog.ActorFailed(log, "otlp", failed.Exception!), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return new(troubles, export);
    }

    /// <summary>Exports what there is, for a second at most.</summary>
    public void Flush()
    {
        long failures = _troubles.Failures;
        _isAnswered = TryFlush(s_flushPatience, withMetrics: true) && _troubles.Failures == failures;
    }

    /// <summary>Exports spans and log lines that came since <see cref="Flush"/>, where somebody took what there was then.</summary>
    public void Dispose()
    {
        if (_isAnswered)
            _ = TryFlush(s_endPatience, withMetrics: false);
        _troubles.Dispose();
    }

    private bool TryFlush(TimeSpan patience, bool withMetrics)
    {
        long started = TimeProvider.System.GetTimestamp();
        try
        {
            return _export.Wait(patience) && patience - TimeProvider.System.GetElapsedTime(started) is var left && left > TimeSpan.Zero && _export.Result.Flush(left, withMetrics);
        }
        catch (AggregateException)
        {
            // It could not be started, or an exporter failed: either has been told.
            return false;
        }
    }
}
