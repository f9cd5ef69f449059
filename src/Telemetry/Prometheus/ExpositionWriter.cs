using System.Globalization;
using System.Text;

namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>Writes metrics down as Prometheus reads them.</summary>
/// <remarks>Source: prometheus.io, "Exposition formats"; OpenMetrics 1.0, "ABNF".</remarks>
internal sealed class ExpositionWriter(ExpositionFormat format)
{
    private readonly StringBuilder _text = new();

    private bool IsOpen => format == ExpositionFormat.OpenMetrics;

    public void Write(MetricFamily family)
    {
        var series = family.Snapshot();
        if (series.Length == 0)
            return;

        var name = family.Name;
        string described = IsOpen ? name.Family : name.Sample;
        Line($"# TYPE {described} {TypeOf(name.Type)}");
        if (IsOpen && name.Unit.Length > 0)
            Line($"# UNIT {described} {name.Unit}");
        if (family.Help.Length > 0)
            Line($"# HELP {described} {(IsOpen ? Quotable(family.Help) : Escaped(family.Help))}");
        foreach (var one in series)
        {
            if (one.Bounds is null)
                Sample(name.Sample, one.Labels, bound: null, one.Value, exemplar: null);
            else
                Histogram(name.Sample, one);
        }
    }

    /// <summary>Ends the text and returns it.</summary>
    public string Finish()
    {
        if (IsOpen)
            Line("# EOF");
        return _text.ToString();
    }

    private void Histogram(string name, Series series)
    {
        // The count is what the buckets add up to, also while others record.
        long count = 0;
        double sum = series.Value;
        for (int bucket = 0; bucket <= series.Bounds!.Length; bucket++)
        {
            count += series.CountOf(bucket);
            double bound = bucket < series.Bounds.Length ? series.Bounds[bucket] : double.PositiveInfinity;
            Sample($"{name}_bucket", series.Labels, bound, count, IsOpen ? series.ExemplarOf(bucket) : null);
        }

        Sample($"{name}_sum", series.Labels, bound: null, sum, exemplar: null);
        Sample($"{name}_count", series.Labels, bound: null, count, exemplar: null);
    }

    private void Sample(string name, KeyValuePair<string, object?>[] labels, double? bound, double value, Exemplar? exemplar)
    {
        _text.Append(name);
        if (labels.Length > 0 || bound is not null)
        {
            _text.Append('{');
            foreach (var (key, label) in labels)
                Label(key, Convert.ToString(label, CultureInfo.InvariantCulture) ?? "");
            if (bound is double upper)
                Label("le", Bound(upper));
            // The last comma.
            _text.Length--;
            _text.Append('}');
        }

        _text.Append(' ').Append(Number(value));
        if (exemplar is { } known)
        {
            _text.Append(CultureInfo.InvariantCulture,
                $" # {{trace_id=\"{known.TraceId}\",span_id=\"{known.SpanId}\"}} {Number(known.Value)} {known.At.ToUnixTimeMilliseconds() / 1000.0:F3}");
        }

        _text.Append('\n');
    }

    private static string TypeOf(MetricType type) => type switch
    {
        MetricType.Counter => "counter",
        MetricType.Histogram => "histogram",
        _ => "gauge",
    };

    private void Label(string key, string value)
    {
        foreach (char c in key)
            _text.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
        _text.Append("=\"").Append(Quotable(value)).Append("\",");
    }

    private void Line(string line) => _text.Append(line).Append('\n');

    private static string Quotable(string text) => Escaped(text).Replace("\"", "\\\"", StringComparison.Ordinal);

    private static string Escaped(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    /// <summary>OpenMetrics wants a bound to be recognizable as a floating-point number.</summary>
    private string Bound(double bound)
    {
        string number = Number(bound);
        return IsOpen && number.All(c => char.IsAsciiDigit(c)) ? number + ".0" : number;
    }

    private static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : value.ToString(CultureInfo.InvariantCulture);
}
