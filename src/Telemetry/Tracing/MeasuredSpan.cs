using System.Diagnostics;

namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>The span that what this thread measures just now belongs to: for exemplars of what is measured per burst.</summary>
/// <remarks><see cref="Activity.Current"/> would say so too, but setting it allocates.</remarks>
public static class MeasuredSpan
{
    [ThreadStatic]
    private static Activity? s_current;

    /// <summary>The span, or null; set it only around a measurement.</summary>
    public static Activity? Current
    {
        get => s_current ?? Activity.Current;
        set => s_current = value;
    }
}
