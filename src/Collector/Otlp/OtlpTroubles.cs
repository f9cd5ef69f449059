using System.Diagnostics.Tracing;
using System.Globalization;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Collector.Otlp;

/// <summary>Hears what OpenTelemetry's library complains of, which it tells nobody else: counts it, and says it in the log now and then.</summary>
/// <remarks>Source: OpenTelemetry .NET, "Troubleshooting": the library's only output are event sources.</remarks>
internal sealed class OtlpTroubles(CollectorMetrics metrics, TimeProvider time, ILogger log) : EventListener
{
    private const string Library = "OpenTelemetry-";

    /// <summary>Where failures of exports come from.</summary>
    private const string Exporter = "OpenTelemetry-Exporter-OpenTelemetryProtocol";

    /// <summary>Says that other meters than ours are not exported, which is as it should be.</summary>
    private const string NotOurs = "MetricInstrumentIgnored";

    private const int MaxWordsLength = 300;
    private static readonly TimeSpan s_interval = TimeSpan.FromMinutes(1);

    // Fields and not parameters: the base constructor may call already.
    private readonly CollectorMetrics _metrics = metrics;
    private readonly TimeProvider _time = time;
    private readonly ILogger _log = log;
    private readonly Lock _gate = new();
    private long? _toldAt;
    private long _untold;
    private long _failures;

    /// <summary>Exports that failed so far.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        if (eventSource.Name.StartsWith(Library, StringComparison.Ordinal))
            EnableEvents(eventSource, EventLevel.Warning);
    }

    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        if (eventData.EventName == NotOurs)
            return;
        if (eventData.EventSource.Name == Exporter)
        {
            Interlocked.Increment(ref _failures);
            _metrics.OtlpFailed();
        }

        long untold;
        lock (_gate)
        {
            if (_toldAt is long told && _time.GetElapsedTime(told) < s_interval)
            {
                _untold++;
                return;
            }

            _toldAt = _time.GetTimestamp();
            untold = _untold;
            _untold = 0;
        }

        CollectorLog.OtlpFails(_log, WordsOf(eventData), untold);
    }

    private static string WordsOf(EventWrittenEventArgs eventData)
    {
        object?[] payload = [.. eventData.Payload?.Select(WithoutPath) ?? []];
        string words;
        try
        {
            words = string.Format(CultureInfo.InvariantCulture, eventData.Message ?? eventData.EventName ?? "", payload);
        }
        catch (FormatException)
        {
            words = $"{eventData.EventName} {string.Join(' ', payload)}";
        }

        words = words.Split('\n')[0].Trim();
        return words.Length > MaxWordsLength ? words[..MaxWordsLength] : words;
    }

    /// <summary>Path and query of some endpoints are their secret.</summary>
    private static object? WithoutPath(object? value) =>
        value is string text && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme.StartsWith("http", StringComparison.Ordinal) ? $"{url.Scheme}://{url.Authority}" : value;
}
