using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Scripts;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Actors.Aftermath;

/// <summary>Runs the operator's script for each ended dump and records in the manifest how it went.</summary>
public sealed class ScriptActor(ScriptRunner runner, CollectorMetrics metrics, ILogger logger) : Actor<ScriptActor.Message>
{
    public abstract record Message;

    /// <summary>A dump stands under its final names, or was found to have been left without its script's end by an earlier process.</summary>
    public sealed record DumpCommitted(CommittedDump Dump, Ipv4 Client) : Message
    {
        /// <summary>The dump's span; default where it has none, or had one in an earlier process.</summary>
        public ActivityContext Span { get; init; }
    }

    /// <summary>All dumps that an earlier process left without their script's end have been told of.</summary>
    public sealed record LeftOversTold : Message;

    /// <summary>The reply comes when no script runs or waits for its turn.</summary>
    public sealed record AwaitEnded(Reply<bool> Done) : Message;

    /// <summary>Asks for the core files, as paths from the dump directory, whose scripts run or wait for their turn.</summary>
    public sealed record ListRunning(Reply<IReadOnlyList<string>> CoreFiles) : Message;

    private sealed record ScriptEnded(Task Run) : Message;

    private readonly Dictionary<Task, string> _running = [];

    // A dump that ends while left-overs are looked for may be found among them too.
    private readonly HashSet<string> _told = [];
    private bool _awaitsLeftOvers = true;
    private Reply<bool>? _ended;

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case DumpCommitted committed when _awaitsLeftOvers ? !_told.Add(committed.Dump.Id) : _told.Contains(committed.Dump.Id):
                break;
            case DumpCommitted committed:
                var self = Self;
                var run = RunAsync(committed.Dump, committed.Client, committed.Span);
                _running.Add(run, committed.Dump.CoreFile);
                _ = run.ContinueWith(ended => self.Tell(new ScriptEnded(ended)), TaskScheduler.Default);
                break;
            case LeftOversTold:
                _awaitsLeftOvers = false;
                break;
            case AwaitEnded wait:
                _ended = wait.Done;
                break;
            case ListRunning list:
                list.CoreFiles.Send([.. _running.Values.Order(StringComparer.Ordinal)]);
                break;
            case ScriptEnded ended:
                _running.Remove(ended.Run);
                break;
        }

        if (_running.Count == 0)
            _ended?.Send(true);
    }

    private async Task RunAsync(CommittedDump dump, Ipv4 client, ActivityContext dumpSpan)
    {
        var manifest = dump.Manifest;
        string reason = ScriptReason.Of(manifest.Status, manifest.Reason);
        var call = new ScriptCall(reason, client, manifest.Host, dump.InfoFile, dump.CoreFile, manifest.Status, dump.ManifestPath);
        var span = ScriptTrace.Begin(dump.Id, dumpSpan, runner.Path, reason);
        // What follows is logged as the script's; an asynchronous method leaves nothing of this behind.
        Activity.Current = span;
        var result = await runner.RunAsync(call, line => CollectorLog.ScriptOutput(logger, dump.CoreFile, line), CancellationToken.None).ConfigureAwait(false);
        var outcome = result.TimedOut ? ScriptOutcome.TimedOut : result is { Error: null, ExitCode: 0 } ? ScriptOutcome.Ok : ScriptOutcome.Failed;
        metrics.ScriptEnded(outcome);
        CollectorLog.ScriptEnded(logger, runner.Path, dump.CoreFile, Outcome(result));
        try
        {
            ManifestFile.Update(dump.ManifestPath, m => m with
            {
                Script = new(runner.Path, reason, result.ExitCode, result.TimedOut, result.StartedAt, result.Duration.TotalSeconds),
                ScriptPending = false,
            });
        }
        catch (StorageException e)
        {
            CollectorLog.ManifestNotUpdated(logger, dump.ManifestPath, e.Message);
        }

        if (span is not null)
            ScriptTrace.End(span, outcome, result.ExitCode, Outcome(result), result.StartedAt, result.StartedAt + result.Duration);
    }

    private static string Outcome(ScriptResult result) =>
        result.Error
        ?? (result.TimedOut
            ? string.Create(CultureInfo.InvariantCulture, $"killed after {result.Duration.TotalSeconds:F0} s")
            : string.Create(CultureInfo.InvariantCulture, $"exit code {result.ExitCode}"));
}
