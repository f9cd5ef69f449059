using System.Diagnostics.Metrics;

namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>What an instrument is called in Prometheus.</summary>
/// <param name="Family">Name with its unit: <c>netdump_received_bytes</c>.</param>
/// <param name="Sample">Name of its values: a counter's has <c>_total</c> at its end.</param>
/// <param name="Unit">In words, or empty.</param>
/// <param name="Type"><c>counter</c>, <c>gauge</c> or <c>histogram</c>.</param>
/// <remarks>Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".</remarks>
internal readonly record struct MetricName(string Family, string Sample, string Unit, string Type)
{
    private const string Total = "_total";
    private const string Count = "_count";

    public static MetricName Of(Instrument instrument)
    {
        var kind = instrument.GetType();
        string generic = kind.IsGenericType ? kind.GetGenericTypeDefinition().Name : "";
        string type = generic switch
        {
            "Counter`1" or "ObservableCounter`1" => "counter",
            "Histogram`1" => "histogram",
            _ => "gauge",
        };
        string unit = UnitOf(instrument.Unit, type);
        string family = string.Concat(instrument.Name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_'));
        // To Prometheus that is a part of a histogram.
        if (type != "histogram" && family.EndsWith(Count, StringComparison.Ordinal))
            family = family[..^Count.Length];
        if (type == "counter" && family.EndsWith(Total, StringComparison.Ordinal))
            family = family[..^Total.Length];
        if (unit.Length > 0 && !family.EndsWith($"_{unit}", StringComparison.Ordinal))
            family = $"{family}_{unit}";
        return new(family, type == "counter" ? family + Total : family, unit, type);
    }

    /// <summary>Source: UCUM codes that OpenTelemetry's conventions use; what is in braces counts things and is no unit.</summary>
    private static string UnitOf(string? unit, string type) => unit switch
    {
        "s" => "seconds",
        "By" => "bytes",
        "1" when type == "gauge" => "ratio",
        _ => "",
    };
}
