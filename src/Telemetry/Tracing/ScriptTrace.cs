using System.Diagnostics;
using System.Globalization;

namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>The span of the operator's script after a dump, in the dump's trace.</summary>
public static class ScriptTrace
{
    /// <summary>The script is to run, as soon as it is its turn; null where nobody listens or the sampler does not want the span.</summary>
    /// <param name="dumpId">The dump.</param>
    /// <param name="dump">Its span; default where another process had the dump.</param>
    /// <param name="path">The script.</param>
    /// <param name="reason">Its first argument.</param>
    public static Activity? Begin(string dumpId, ActivityContext dump, string path, string reason)
    {
        KeyValuePair<string, object?>[] attributes = [new("netdump.dump.id", dumpId), new("process.executable.path", path), new("netdump.script.reason", reason)];
        return dump == default
            ? SpanSource.StartRoot("script", ActivityKind.Internal, dumpId, at: default, attributes)
            : SpanSource.StartChild("script", dump, at: default, attributes);
    }

    /// <summary>The script has ended.</summary>
    /// <param name="span">Its span.</param>
    /// <param name="outcome">How.</param>
    /// <param name="exitCode">Null when it did not start or was killed.</param>
    /// <param name="words">The same for people.</param>
    /// <param name="startedAt">When it was its turn.</param>
    /// <param name="at">When it ended.</param>
    public static void End(Activity span, ScriptOutcome outcome, int? exitCode, string words, DateTimeOffset startedAt, DateTimeOffset at)
    {
        span.AddEvent(new("started", startedAt));
        if (exitCode is int code)
            span.SetTag("process.exit.code", code);
        if (outcome != ScriptOutcome.Ok)
        {
            span.SetTag("error.type", outcome == ScriptOutcome.TimedOut ? "timeout" : exitCode?.ToString(CultureInfo.InvariantCulture) ?? "notStarted");
            span.SetStatus(ActivityStatusCode.Error, words);
        }

        SpanSource.Stop(span, at);
    }
}
