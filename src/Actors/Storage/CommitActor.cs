using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Telemetry.Events;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Makes one ended dump durable under its final name, tells its session, and sets off what follows; then stops.</summary>
public sealed class CommitActor(SessionEnvironment environment, ActorRef<SessionActor.Message> session) : Actor<CommitActor.Message>
{
    public abstract record Message;

    /// <summary>Descriptors or space may come back while the client still repeats its FINISHED, which it does for 11 s.</summary>
    private const int MaxAttempts = 12;

    private const long RetryUs = 1_000_000;

    /// <summary>An ended dump, named after its address where <paramref name="HostLookup"/> takes longer than until <paramref name="HostDueUs"/>, in the dispatchers' time.</summary>
    /// <remarks>A point in time and not a span: commits that have waited for a thread do not wait once more, one behind the other.</remarks>
    public sealed record CommitDump(DumpFile File, DumpSummary Summary, DumpCircumstances Circumstances, Task<string> HostLookup, long HostDueUs) : Message
    {
        /// <summary>Set where the session has failed: called in its place, and the ledger goes at once, because nobody answers the client any more.</summary>
        public Action? Settled { get; init; }

        /// <summary>The dump's trace, which ends with the commit, or null.</summary>
        public DumpTrace? Trace { get; init; }
    }

    private int _attempts;
    private bool _isPromised;

    protected override void Receive(Message message)
    {
        var order = (CommitDump)message;
        using var scope = new SpanScope(order.Trace?.Finishing);
        string host = order.Circumstances.Host;
        try
        {
            if (order.HostLookup.Wait(TimeSpan.FromMicroseconds(Math.Max(0, order.HostDueUs - Context.NowUs))))
                host = order.HostLookup.Result;
            var circumstances = order.Circumstances with { Host = host };
            if (order.File.IsShared && !_isPromised)
            {
                environment.Directory.Promise(order.File, order.Summary, circumstances, () => Promise(order));
                _isPromised = true;
                // Kernels wait for the promises of other dumps, and nobody for this one's names.
                if (Self.Tell(order))
                    return;
            }

            var dump = environment.Directory.Commit(order.File, order.Summary, circumstances, () => Promise(order));
            order.File.CloseData();
            if (dump.IsElsewhere)
            {
                // Another node has brought the commit to its end, and sees to the rest; FINISHED is answered here.
                order.Trace?.Interrupt();
                Report(order, new SessionActor.Committed(order.File, environment.FileSystems.LaneOf(order.File)));
                Context.Stop();
                return;
            }

            // First, because a server that ends waits for scripts once no session has a commit under way.
            var ended = Follow(dump, host, order);
            if (order.Settled is not null)
                order.File.RemoveLedger();
            Report(order, new SessionActor.Committed(order.File, environment.FileSystems.LaneOf(order.File)));
            LogOutcome(host, order.File.Identity.Client, order.Summary, dump);
            order.Trace?.End(ended, order.Summary.Error);
        }
        catch (SupersededException)
        {
            order.Trace?.Interrupt();
            Report(order, new SessionActor.TakenOver());
            order.File.Dispose();
        }
        catch (Exception e)
        {
            // Whatever it is: the dump stays a partial file or is kept as the exception says, and its session must not wait for ever.
            CollectorLog.CommitFailed(environment.Logger, host, order.File.Identity.Client, e.Message);
            if (e is not StorageException)
                CollectorLog.ActorFailed(environment.Logger, Context.Path, e);
            order.Trace?.OnCommitFailed(e.Message);
            var kept = (e as StorageException)?.Kept;
            if (kept is null && order.File.IsThere())
            {
                if (++_attempts < MaxAttempts)
                {
                    Context.CreateTimer(order).Arm(Context.NowUs + RetryUs);
                    return;
                }

                if (e is StorageException)
                    kept = TryKeepAsFailed(order, host, e.Message);
            }

            if (kept is null)
                environment.Metrics.DumpNotCommitted();
            Report(order, new SessionActor.CommitFailed());
            if (kept is not null)
            {
                order.File.RemoveLedger();
                // Whoever gave the manifest its name sees to what follows.
                if (kept.IsElsewhere)
                    order.Trace?.Interrupt();
                else
                    order.Trace?.End(Follow(kept, host, order), kept.Manifest.Error);
            }
            else
            {
                order.Trace?.EndUncommitted(e.Message);
            }

            // Else the next start of the server tries again.
            order.File.Dispose();
        }

        Context.Stop();
    }

    private void Promise(CommitDump order)
    {
        if (order.Settled is null)
            session.Tell(new SessionActor.Promised());
    }

    private void Report(CommitDump order, SessionActor.Message outcome)
    {
        if (order.Settled is { } settled)
            settled();
        else
            session.Tell(outcome);
    }

    /// <summary>Null where nothing can be written that describes it.</summary>
    private CommittedDump? TryKeepAsFailed(CommitDump order, string host, string error)
    {
        try
        {
            return environment.Directory.CommitAsFailed(order.File, order.Summary, order.Circumstances with { Host = host }, error);
        }
        catch (Exception e)
        {
            if (e is not StorageException)
                CollectorLog.ActorFailed(environment.Logger, Context.Path, e);
            return null;
        }
    }

    private DumpEnded Follow(CommittedDump dump, string host, CommitDump order) =>
        CommitAftermath.Follow(environment, dump, host, order.File.Identity.Client, order.Trace?.Root.Context ?? default);

    private void LogOutcome(string host, Ipv4 client, DumpSummary summary, CommittedDump dump)
    {
        switch (summary.Status)
        {
            case DumpStatus.Complete:
                CollectorLog.Completed(environment.Logger, host, client, dump.CoreFile, summary.LengthBytes);
                break;
            case var _ when summary.TruncatedBy is string policy:
                CollectorLog.Cut(environment.Logger, summary.Status, host, client, dump.CoreFile, summary.Reason, summary.CoveredBytes,
                    summary.CoveredBytes + summary.MissingBytes, policy, summary.Error ?? "");
                break;
            case DumpStatus.Incomplete when summary.Reason == EndReason.ClientTimedOut:
                CollectorLog.TimedOut(environment.Logger, client, dump.CoreFile, summary.CoveredBytes, summary.MissingBytes);
                break;
            default:
                CollectorLog.NotComplete(environment.Logger, summary.Status, host, client, dump.CoreFile, summary.Reason, summary.CoveredBytes,
                    summary.MissingBytes, summary.MissingRanges, summary.Error ?? "");
                break;
        }
    }
}
