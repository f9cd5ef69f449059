using System.Collections.Concurrent;
using System.Diagnostics;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Telemetry.Tests.Tracing;

/// <summary>Listens to the collector's spans and keeps those of one trace that have ended; tests run side by side.</summary>
internal sealed class SpanRecorder : IDisposable
{
    private readonly ActivityListener _listener;
    private readonly ConcurrentQueue<Activity> _ended = new();

    public SpanRecorder(string dumpId, ActivitySamplingResult sampling = ActivitySamplingResult.AllDataAndRecorded)
    {
        var trace = SpanSource.TraceOf(dumpId);
        _listener = new()
        {
            ShouldListenTo = source => source.Name == SpanSource.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => sampling,
            ActivityStopped = span =>
            {
                if (span.TraceId == trace)
                    _ended.Enqueue(span);
            },
        };
        ActivitySource.AddActivityListener(_listener);
    }

    public IReadOnlyList<Activity> Ended => [.. _ended];

    public Activity this[string name] => Assert.Single(_ended, span => span.OperationName == name);

    public void Dispose() => _listener.Dispose();
}
