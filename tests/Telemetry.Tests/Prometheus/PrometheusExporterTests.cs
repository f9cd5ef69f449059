using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Telemetry.Tests.Prometheus;

public sealed class PrometheusExporterTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly PrometheusExporter _exporter;

    public PrometheusExporterTests() => _exporter = new(_meter);

    public void Dispose()
    {
        _exporter.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public void A_counter_is_written_in_both_formats()
    {
        var counter = _meter.CreateCounter<long>("netdump.received", "By", "Bytes \"of\" a\\dump\nand more.");
        counter.Add(5);
        counter.Add(7, new KeyValuePair<string, object?>("loop.name", "a\"b\\c\nd"));

        Assert.Equal("""
            # TYPE netdump_received_bytes_total counter
            # HELP netdump_received_bytes_total Bytes "of" a\\dump\nand more.
            netdump_received_bytes_total 5
            netdump_received_bytes_total{loop_name="a\"b\\c\nd"} 7

            """, _exporter.Write(ExpositionFormat.Text));
        Assert.Equal("""
            # TYPE netdump_received_bytes counter
            # UNIT netdump_received_bytes bytes
            # HELP netdump_received_bytes Bytes \"of\" a\\dump\nand more.
            netdump_received_bytes_total 5
            netdump_received_bytes_total{loop_name="a\"b\\c\nd"} 7
            # EOF

            """, _exporter.Write(ExpositionFormat.OpenMetrics));
    }

    [Fact]
    public void Gauges_show_their_last_value_and_up_down_counters_their_sum()
    {
        var gauge = _meter.CreateGauge<double>("netdump.level");
        gauge.Record(3.5);
        gauge.Record(-0.25);
        var sum = _meter.CreateUpDownCounter<int>("netdump.balance");
        sum.Add(5);
        sum.Add(-2);

        string text = _exporter.Write(ExpositionFormat.Text);

        Assert.Contains("# TYPE netdump_level gauge\nnetdump_level -0.25\n", text, StringComparison.Ordinal);
        Assert.Contains("\nnetdump_balance 3\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Observed_values_are_those_of_the_moment_and_forgotten_labels_vanish()
    {
        var seen = new Dictionary<string, long> { ["a"] = 1, ["b"] = 2 };
        _ = _meter.CreateObservableGauge("netdump.seen", () => seen.Select(one => new Measurement<long>(one.Value, new KeyValuePair<string, object?>("of", one.Key))));
        Assert.Contains("netdump_seen{of=\"b\"} 2\n", _exporter.Write(ExpositionFormat.Text), StringComparison.Ordinal);

        seen.Remove("b");
        seen["a"] = 9;

        string text = _exporter.Write(ExpositionFormat.Text);
        Assert.Contains("netdump_seen{of=\"a\"} 9\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("of=\"b\"", text, StringComparison.Ordinal);
    }

    [Fact]
    public void An_observation_that_fails_costs_the_others_nothing()
    {
        _ = _meter.CreateObservableGauge("netdump.broken", (Func<long>)(() => throw new InvalidOperationException("no")));
        _ = _meter.CreateObservableGauge("netdump.whole", () => 4);

        Assert.Contains("netdump_whole 4\n", _exporter.Write(ExpositionFormat.Text), StringComparison.Ordinal);
    }

    [Fact]
    public void Buckets_of_a_histogram_count_what_lies_at_or_below_their_bound()
    {
        var histogram = _meter.CreateHistogram("netdump.took", "s", "Took.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1, 2.5] });
        foreach (double value in (double[])[0.1, 0.5, 0.75, 2.5, 7])
            histogram.Record(value);

        Assert.Equal("""
            # TYPE netdump_took_seconds histogram
            # HELP netdump_took_seconds Took.
            netdump_took_seconds_bucket{le="0.5"} 2
            netdump_took_seconds_bucket{le="1"} 3
            netdump_took_seconds_bucket{le="2.5"} 4
            netdump_took_seconds_bucket{le="+Inf"} 5
            netdump_took_seconds_sum 10.85
            netdump_took_seconds_count 5

            """, _exporter.Write(ExpositionFormat.Text));
        Assert.Contains("netdump_took_seconds_bucket{le=\"1.0\"} 3\n", _exporter.Write(ExpositionFormat.OpenMetrics), StringComparison.Ordinal);
    }

    [Fact]
    public void A_histogram_is_there_before_its_first_value()
    {
        _ = _meter.CreateHistogram("netdump.took", "s", "Took.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [1] });

        Assert.EndsWith("netdump_took_seconds_bucket{le=\"1\"} 0\nnetdump_took_seconds_bucket{le=\"+Inf\"} 0\nnetdump_took_seconds_sum 0\nnetdump_took_seconds_count 0\n",
            _exporter.Write(ExpositionFormat.Text), StringComparison.Ordinal);
    }

    [Fact]
    public void A_recorded_trace_is_the_exemplar_of_its_bucket_in_OpenMetrics_only()
    {
        var histogram = _meter.CreateHistogram("netdump.took", "s", "Took.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [1] });
        using var activity = new Activity("dump");
        activity.ActivityTraceFlags = ActivityTraceFlags.Recorded;
        activity.Start();
        histogram.Record(0.25);
        activity.Stop();
        histogram.Record(0.5);

        string open = _exporter.Write(ExpositionFormat.OpenMetrics);

        Assert.Contains($"netdump_took_seconds_bucket{{le=\"1.0\"}} 2 # {{trace_id=\"{activity.TraceId}\",span_id=\"{activity.SpanId}\"}} 0.25 ", open, StringComparison.Ordinal);
        Assert.DoesNotContain(" # {", _exporter.Write(ExpositionFormat.Text), StringComparison.Ordinal);
    }

    [Fact]
    public void Instruments_of_other_meters_are_shown_only_where_they_are_named()
    {
        using var other = new Meter("other");
        using var named = new Meter("named");
        using var exporter = new PrometheusExporter(_meter, "named");
        other.CreateCounter<long>("other.seen").Add(1);
        named.CreateCounter<long>("named.seen").Add(1);

        string text = exporter.Write(ExpositionFormat.Text);

        Assert.Contains("named_seen_total 1\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("other", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_lost_when_many_threads_record()
    {
        var counter = _meter.CreateCounter<long>("netdump.seen");
        var histogram = _meter.CreateHistogram("netdump.took", "s", "Took.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [1] });

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                counter.Add(1);
                histogram.Record(2);
            }
        })));

        string text = _exporter.Write(ExpositionFormat.Text);
        Assert.Contains("netdump_seen_total 40000\n", text, StringComparison.Ordinal);
        Assert.Contains("netdump_took_seconds_sum 80000\nnetdump_took_seconds_count 40000\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_label_and_any_number_can_be_read_back() => Prop.ForAll<string, double>((label, value) =>
    {
        label ??= "";
        using var meter = new Meter("one");
        using var exporter = new PrometheusExporter(meter);
        _ = meter.CreateObservableGauge("netdump.seen", () => new Measurement<double>(value, new KeyValuePair<string, object?>("of", label)));

        string sample = exporter.Write(ExpositionFormat.Text)["# TYPE netdump_seen gauge\n".Length..];

        Assert.StartsWith("netdump_seen{of=\"", sample, StringComparison.Ordinal);
        int end = sample.LastIndexOf("\"} ", StringComparison.Ordinal);
        Assert.Equal(label, Unescaped(sample["netdump_seen{of=\"".Length..end]));
        Assert.Equal(value, NumberOf(sample[(end + 3)..^1]));
        Assert.Equal('\n', sample[^1]);
        Assert.DoesNotContain('\n', sample[..^1]);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Recording_without_labels_allocates_nothing()
    {
        var histogram = _meter.CreateHistogram("netdump.took", "s", "Took.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 2, 4] });
        histogram.Record(3);
        NoAllocation.In(() =>
        {
            for (int i = 0; i < 1000; i++)
                histogram.Record(i);
        });
    }

    /// <summary>Reads escapes as Prometheus does: from left to right.</summary>
    private static string Unescaped(string text)
    {
        var plain = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
            plain.Append(text[i] != '\\' ? text[i] : text[++i] == 'n' ? '\n' : text[i]);
        return plain.ToString();
    }

    private static double NumberOf(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, CultureInfo.InvariantCulture),
    };
}
