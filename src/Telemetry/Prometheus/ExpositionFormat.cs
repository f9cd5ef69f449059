namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>How metrics are written down.</summary>
public enum ExpositionFormat
{
    /// <summary>Prometheus' text format 0.0.4.</summary>
    Text,

    /// <summary>OpenMetrics 1.0: the same with units, exemplars and a mark at the end.</summary>
    OpenMetrics,
}

/// <summary>Chooses a format for who asks.</summary>
public static class ExpositionFormats
{
    private const string OpenMetricsType = "application/openmetrics-text";

    /// <summary>What a response in the format says it is.</summary>
    public static string ContentType(this ExpositionFormat format) =>
        format == ExpositionFormat.OpenMetrics ? $"{OpenMetricsType}; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>OpenMetrics where <paramref name="accept"/>, an Accept header, prefers it to plain text.</summary>
    public static ExpositionFormat Negotiate(IEnumerable<string?> accept)
    {
        var (open, text) = (0d, 0d);
        foreach (string range in accept.SelectMany(value => (value ?? "").Split(',')))
        {
            string[] parts = range.Split(';', StringSplitOptions.TrimEntries);
            double quality = QualityOf(parts);
            if (parts[0].Equals(OpenMetricsType, StringComparison.OrdinalIgnoreCase) && IsVersion1(parts))
                open = Math.Max(open, quality);
            else if (parts[0].ToLowerInvariant() is "text/plain" or "text/*" or "*/*")
                text = Math.Max(text, quality);
        }

        return open > 0 && open >= text ? ExpositionFormat.OpenMetrics : ExpositionFormat.Text;
    }

    private static bool IsVersion1(string[] parts) => !parts.Any(part => part.StartsWith("version=", StringComparison.OrdinalIgnoreCase) && !part.EndsWith("=1.0.0", StringComparison.Ordinal));

    private static double QualityOf(string[] parts)
    {
        string? quality = parts.FirstOrDefault(part => part.StartsWith("q=", StringComparison.OrdinalIgnoreCase));
        return quality is null ? 1
            : double.TryParse(quality.AsSpan(2), System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out double value) ? value : 0;
    }
}
