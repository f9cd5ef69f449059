using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>Where all of the collector's spans come from. Nothing of it costs anything while nobody listens.</summary>
public static class SpanSource
{
    public const string Name = "NetdumpCollector";

    private static readonly ActivitySource s_source = new(Name, typeof(SpanSource).Assembly.GetName().Version?.ToString(3));

    /// <summary>The trace that the next root span of this thread belongs to.</summary>
    [ThreadStatic]
    private static ActivityTraceId? s_nextTrace;

    /// <remarks>The only way to a root span with a trace id of one's own that samplers see as a root.</remarks>
    static SpanSource() => Activity.TraceIdGenerator = () => s_nextTrace ?? ActivityTraceId.CreateRandom();

    /// <summary>Somebody wants spans.</summary>
    public static bool IsWanted => s_source.HasListeners();

    /// <summary>The trace of a dump: the first half of its id's SHA-256, so that all processes that have to do with the dump, one after the other, write the same trace.</summary>
    public static ActivityTraceId TraceOf(string dumpId)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(dumpId), hash);
        return ActivityTraceId.CreateFromBytes(hash[..16]);
    }

    /// <summary>Begins a span without a parent in a dump's trace; null where nobody listens or the sampler does not want it.</summary>
    internal static Activity? StartRoot(string name, ActivityKind kind, string dumpId, DateTimeOffset at, params KeyValuePair<string, object?>[] attributes)
    {
        try
        {
            s_nextTrace = TraceOf(dumpId);
            return Start(name, kind, default, at, attributes);
        }
        catch (CryptographicException)
        {
            // Without its trace the span is nothing, and no dump waits for it.
            return null;
        }
        finally
        {
            s_nextTrace = null;
        }
    }

    /// <summary>Begins a span beneath another; null where nobody listens or the sampler does not want it.</summary>
    internal static Activity? StartChild(string name, ActivityContext parent, DateTimeOffset at, params KeyValuePair<string, object?>[] attributes) =>
        Start(name, ActivityKind.Internal, parent, at, attributes);

    /// <summary>Ends a span.</summary>
    internal static void Stop(Activity span, DateTimeOffset at)
    {
        var current = Activity.Current;
        try
        {
            span.SetEndTime(at.UtcDateTime);
            span.Stop();
        }
        catch (Exception)
        {
            // Whoever listens has failed: that costs the span, and no dump.
        }
        finally
        {
            Activity.Current = current == span ? null : current;
        }
    }

    /// <summary>The span is not made the thread's current one, because a thread works for many dumps.</summary>
    /// <param name="name">What it is, which is the same for all dumps.</param>
    /// <param name="kind">Whose work it is.</param>
    /// <param name="parent">What it is a part of, or default.</param>
    /// <param name="at">When it began; default for now.</param>
    /// <param name="attributes">What samplers may look at.</param>
    private static Activity? Start(string name, ActivityKind kind, ActivityContext parent, DateTimeOffset at, KeyValuePair<string, object?>[] attributes)
    {
        var current = Activity.Current;
        Activity.Current = null;
        try
        {
            var span = s_source.StartActivity(name, kind, parent, attributes, links: null, at);
            return span is { IsAllDataRequested: true } ? span : null;
        }
        catch (Exception)
        {
            // As in Stop.
            return null;
        }
        finally
        {
            Activity.Current = current;
        }
    }
}
