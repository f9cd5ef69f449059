using System.Diagnostics.Metrics;

namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>What an instrument is called in Prometheus.</summary>
/// <param name="Family">Name with its unit: <c>netdump_received_bytes</c>.</param>
/// <param name="Sample">Name of its values: a counter's has <c>_total</c> at its end.</param>
/// <param name="Unit">In words, or empty.</param>
/// <param name="Type">What kind of metric it is.</param>
/// <remarks>Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".</remarks>
internal readonly record struct MetricName(string Family, string Sample, string Unit, MetricType Type)
{
    private const string Total = "_total";
    private const string Count = "_count";

    public static MetricName Of(Instrument instrument)
    {
        var kind = instrument.GetType();
        string generic = kind.IsGenericType ? kind.GetGenericTypeDefinition().Name : "";
        var type = generic switch
        {
            "Counter`1" or "ObservableCounter`1" => MetricType.Counter,
            "Histogram`1" => MetricType.Histogram,
            _ => MetricType.Gauge,
        };
        string unit = UnitOf(instrument.Unit, type);
        string family = string.Concat(instrument.Name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_'));
        // To Prometheus that is a part of a histogram.
        if (type != MetricType.Histogram && family.EndsWith(Count, StringComparison.Ordinal))
            family = family[..^Count.Length];
        if (type == MetricType.Counter && family.EndsWith(Total, StringComparison.Ordinal))
            family = family[..^Total.Length];
        if (unit.Length > 0 && !family.EndsWith($"_{unit}", StringComparison.Ordinal))
            family = $"{family}_{unit}";
        return new(family, type == MetricType.Counter ? family + Total : family, unit, type);
    }

    /// <summary>Source: UCUM codes that OpenTelemetry's conventions use; what is in braces counts things and is no unit.</summary>
    private static string UnitOf(string? unit, MetricType type) => unit switch
    {
        "s" => "seconds",
        "By" => "bytes",
        "1" when type == MetricType.Gauge => "ratio",
        _ => "",
    };
}

/// <summary>Kinds of metrics, as Prometheus has them.</summary>
internal enum MetricType
{
    Counter,
    Gauge,
    Histogram,
}
