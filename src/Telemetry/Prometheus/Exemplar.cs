using System.Diagnostics;

namespace NetdumpCollector.Telemetry.Prometheus;

/// <summary>A measured value that leads to its trace.</summary>
internal readonly record struct Exemplar(double Value, string TraceId, string SpanId, DateTimeOffset At);

/// <summary>Where the last value of a bucket that belongs to a trace is kept: written for each burst, so without allocating.</summary>
internal struct ExemplarPlace
{
    private int _isTaken;
    private double _value;
    private string? _traceId;
    private string? _spanId;
    private long _atTicks;

    /// <summary>Keeps the value, unless somebody else is just about to keep or read one: each is as good as the other.</summary>
    public void Put(double value, Activity span)
    {
        if (Interlocked.Exchange(ref _isTaken, 1) != 0)
            return;
        _value = value;
        // Spans have these as text.
        (_traceId, _spanId) = (span.TraceId.ToHexString(), span.SpanId.ToHexString());
        _atTicks = DateTime.UtcNow.Ticks;
        Volatile.Write(ref _isTaken, 0);
    }

    public Exemplar? Look()
    {
        var wait = new SpinWait();
        while (Interlocked.Exchange(ref _isTaken, 1) != 0)
            wait.SpinOnce();
        Exemplar? kept = _traceId is null ? null : new(_value, _traceId, _spanId!, new(_atTicks, TimeSpan.Zero));
        Volatile.Write(ref _isTaken, 0);
        return kept;
    }
}
