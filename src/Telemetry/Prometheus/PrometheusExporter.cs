using System.Diagnostics.Metrics;

namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>Keeps what instruments measure and writes it down when Prometheus asks.</summary>
public sealed class PrometheusExporter : IDisposable
{
    private readonly object _gate = new();
    private readonly SemaphoreSlim _turn = new(1);
    private readonly MeterListener _listener = new();
    private readonly SortedDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);
    private readonly Func<Meter, bool> _isOurs;

    /// <param name="meter">The collector's own.</param>
    /// <param name="others">Names of meters of the runtime whose instruments are shown as well.</param>
    public PrometheusExporter(Meter meter, params IReadOnlyCollection<string> others)
    {
        _isOurs = candidate => candidate == meter || others.Contains(candidate.Name);
        _listener.InstrumentPublished = OnPublished;
        _listener.SetMeasurementEventCallback<byte>(static (_, value, labels, family) => ((MetricFamily)family!).Take(value, labels));
        _listener.SetMeasurementEventCallback<short>(static (_, value, labels, family) => ((MetricFamily)family!).Take(value, labels));
        _listener.SetMeasurementEventCallback<int>(static (_, value, labels, family) => ((MetricFamily)family!).Take(value, labels));
        _listener.SetMeasurementEventCallback<long>(static (_, value, labels, family) => ((MetricFamily)family!).Take(value, labels));
        _listener.SetMeasurementEventCallback<float>(static (_, value, labels, family) => ((MetricFamily)family!).Take(value, labels));
        _listener.SetMeasurementEventCallback<double>(static (_, value, labels, family) => ((MetricFamily)family!).Take(value, labels));
        _listener.SetMeasurementEventCallback<decimal>(static (_, value, labels, family) => ((MetricFamily)family!).Take((double)value, labels));
        _listener.Start();
    }

    /// <summary>All metrics as they are now. However many ask, one thread is held at a time by what is observed.</summary>
    public async Task<string> WriteAsync(ExpositionFormat format)
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            return Write(format);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>All metrics as they are now.</summary>
    public string Write(ExpositionFormat format)
    {
        // Two readers at one time would see each other's observations.
        lock (_gate)
        {
            MetricFamily[] families;
            lock (_families)
                families = [.. _families.Values];
            foreach (var family in families)
                family.BeginObservation();
            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException)
            {
                // What could not be looked at is not shown; the others were asked all the same.
            }

            var writer = new ExpositionWriter(format);
            foreach (var family in families)
                writer.Write(family);
            return writer.Finish();
        }
    }

    public void Dispose() => _listener.Dispose();

    private void OnPublished(Instrument instrument, MeterListener listener)
    {
        if (!_isOurs(instrument.Meter))
            return;
        var family = new MetricFamily(instrument);
        lock (_families)
        {
            if (!_families.TryAdd(family.Name.Family, family))
                return;
        }

        listener.EnableMeasurementEvents(instrument, family);
    }
}
