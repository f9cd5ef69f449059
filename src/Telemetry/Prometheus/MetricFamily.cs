using System.Diagnostics.Metrics;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>One instrument's values, by their labels.</summary>
internal sealed class MetricFamily
{
    private readonly Instrument _instrument;
    private readonly List<Series> _series = [];
    private readonly double[]? _bounds;
    private readonly bool _adds;
    private volatile Series? _unlabelled;

    public MetricFamily(Instrument instrument)
    {
        _instrument = instrument;
        _bounds = BoundsOf(instrument);
        Name = MetricName.Of(instrument);
        Help = instrument.Description ?? "";
        _adds = !instrument.IsObservable && (Name.Type == MetricType.Counter || instrument.GetType().Name.StartsWith("UpDownCounter", StringComparison.Ordinal));
        // A rate can be taken over the first value only where there was a 0 before it.
        if (_bounds is not null)
            Find([]);
    }

    public MetricName Name { get; }

    public string Help { get; }

    /// <summary>A value was measured: of an observable instrument it is the sum so far, of a counter it is added, of a histogram it is one more.</summary>
    public void Take(double value, ReadOnlySpan<KeyValuePair<string, object?>> labels)
    {
        var series = labels.IsEmpty ? _unlabelled ?? Find(labels) : Find(labels);
        if (_bounds is not null)
            series.Record(value);
        else if (_adds)
            series.Add(value);
        else
            series.Set(value);
    }

    /// <summary>Forgets what an observable instrument said before: labels that it no longer has.</summary>
    public void BeginObservation()
    {
        if (!_instrument.IsObservable)
            return;
        lock (_series)
        {
            _series.Clear();
            _unlabelled = null;
        }
    }

    public Series[] Snapshot()
    {
        lock (_series)
            return [.. _series];
    }

    private Series Find(ReadOnlySpan<KeyValuePair<string, object?>> labels)
    {
        lock (_series)
        {
            foreach (var known in _series)
            {
                if (known.Has(labels))
                    return known;
            }

            var series = new Series(labels.ToArray(), _bounds);
            _series.Add(series);
            if (labels.IsEmpty)
                _unlabelled = series;
            return series;
        }
    }

    private static double[]? BoundsOf(Instrument instrument) => instrument switch
    {
        Histogram<double> histogram => [.. histogram.Advice?.HistogramBucketBoundaries ?? []],
        Histogram<long> histogram => [.. (histogram.Advice?.HistogramBucketBoundaries ?? []).Select(bound => (double)bound)],
        _ => null,
    };
}

/// <summary>The values of one set of labels; recorded by any thread.</summary>
internal sealed class Series(KeyValuePair<string, object?>[] labels, double[]? bounds)
{
    private readonly long[] _buckets = bounds is null ? [] : new long[bounds.Length + 1];
    private readonly ExemplarPlace[] _exemplars = bounds is null ? [] : new ExemplarPlace[bounds.Length + 1];
    private double _sum;

    public KeyValuePair<string, object?>[] Labels => labels;

    /// <summary>Upper bounds of a histogram's buckets but the last, or null.</summary>
    public double[]? Bounds => bounds;

    /// <summary>A counter's or gauge's value, or the sum of a histogram's.</summary>
    public double Value => Volatile.Read(ref _sum);

    public bool Has(ReadOnlySpan<KeyValuePair<string, object?>> others)
    {
        if (others.Length != labels.Length)
            return false;
        for (int i = 0; i < labels.Length; i++)
        {
            if (labels[i].Key != others[i].Key || !Equals(labels[i].Value, others[i].Value))
                return false;
        }

        return true;
    }

    public void Set(double value) => Volatile.Write(ref _sum, value);

    public void Add(double value)
    {
        double before = Volatile.Read(ref _sum);
        while (true)
        {
            double seen = Interlocked.CompareExchange(ref _sum, before + value, before);
            if (seen.Equals(before))
                return;
            before = seen;
        }
    }

    public void Record(double value)
    {
        int bucket = 0;
        while (bucket < bounds!.Length && value > bounds[bucket])
            bucket++;
        Interlocked.Increment(ref _buckets[bucket]);
        Add(value);
        if (MeasuredSpan.Current is { Recorded: true } span)
            _exemplars[bucket].Put(value, span);
    }

    public long CountOf(int bucket) => Interlocked.Read(ref _buckets[bucket]);

    /// <summary>The last value of the bucket that belongs to a trace, or null.</summary>
    public Exemplar? ExemplarOf(int bucket) => _exemplars[bucket].Look();
}
