using System.Diagnostics;

namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>While it lasts, what this thread logs and measures belongs to a span. Allocates, so it is for what happens once in a while; see <see cref="MeasuredSpan"/> for each burst.</summary>
public readonly ref struct SpanScope
{
    private readonly Activity? _outer;
    private readonly bool _isEntered;

    /// <param name="span">Null for none, which costs nothing.</param>
    public SpanScope(Activity? span)
    {
        if (span is null)
            return;
        _outer = Activity.Current;
        _isEntered = true;
        Activity.Current = span;
    }

    public void Dispose()
    {
        if (_isEntered)
            Activity.Current = _outer;
    }
}
