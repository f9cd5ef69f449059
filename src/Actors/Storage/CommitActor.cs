using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Makes one ended dump durable under its final name, tells its session, and sets off what follows; then stops.</summary>
public sealed class CommitActor(SessionEnvironment environment, ActorRef<SessionActor.Message> session) : Actor<CommitActor.Message>
{
    public abstract record Message;

    /// <summary>An ended dump; the host's name may still be looked up, for a bounded time.</summary>
    public sealed record CommitDump(DumpFile File, DumpSummary Summary, DumpCircumstances Circumstances, Task<string> HostLookup) : Message;

    protected override void Receive(Message message)
    {
        var order = (CommitDump)message;
        using var file = order.File;
        string host = order.HostLookup.GetAwaiter().GetResult();
        var summary = order.Summary;
        CommittedDump? dump;
        try
        {
            dump = environment.Directory.Commit(file, summary, order.Circumstances with { Host = host });
            session.Tell(new SessionActor.Committed());
            LogOutcome(host, file.Identity.Client, summary, dump);
        }
        catch (StorageException e)
        {
            session.Tell(new SessionActor.CommitFailed());
            CollectorLog.CommitFailed(environment.Logger, host, file.Identity.Client, e.Message);
            dump = e.Kept;
        }

        if (dump is not null)
            Follow(dump, file.Identity.Client);
        Context.Stop();
    }

    /// <summary>Whatever went wrong, the session must not wait for ever.</summary>
    protected override void PostStop(Exception? failure)
    {
        if (failure is not null)
            session.Tell(new SessionActor.CommitFailed());
    }

    private void Follow(CommittedDump dump, Ipv4 client)
    {
        environment.Scripts?.Tell(new ScriptActor.DumpCommitted(dump, client));
        if (dump.Manifest.HashState == HashState.Pending)
            environment.Hashes?.Tell(new HashActor.HashDump(dump.ManifestPath));
    }

    private void LogOutcome(string host, Ipv4 client, DumpSummary summary, CommittedDump dump)
    {
        switch (summary.Status)
        {
            case DumpStatus.Complete:
                CollectorLog.Completed(environment.Logger, host, client, dump.CoreFile, summary.LengthBytes);
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
