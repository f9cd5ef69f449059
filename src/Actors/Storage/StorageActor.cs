using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Opens the files of one dump, on threads that may wait for a device.</summary>
public sealed class StorageActor(SessionEnvironment environment, ActorRef<SessionActor.Message> session) : Actor<StorageActor.Message>
{
    public abstract record Message;

    /// <summary>Opens the dump's files; answered by Opened or OpenFailed.</summary>
    public sealed record Open(DumpIdentity Identity, DumpEndpoint Endpoint, string? HeraldPath) : Message;

    protected override void Receive(Message message)
    {
        var open = (Open)message;
        DumpFile? file = null;
        try
        {
            if (environment.Directory.IsBegunElsewhere(open.Identity, open.Endpoint.RemotePort))
            {
                session.Tell(new SessionActor.BegunElsewhere());
                return;
            }

            file = environment.Directory.Create(open.Identity, open.Endpoint, open.HeraldPath, environment.Headroom, out var shortage);
            if (shortage is not null)
                environment.Metrics.RanShortOfRoom();
            if (file is null)
            {
                if (shortage!.Verdict == HeadroomVerdict.MakeRoom)
                    environment.Room?.Tell(new RetentionActor.MakeRoom(shortage.Directory));
                // The client's next packet asks again.
                session.Tell(new SessionActor.OpenFailed(shortage.Words));
                return;
            }

            if (shortage is not null)
                CollectorLog.HeadersOnly(environment.Logger, open.Identity.Client, shortage.Words);
            session.Tell(new SessionActor.Opened(file, environment.FileSystems.LaneOf(file), shortage?.Verdict ?? HeadroomVerdict.Ample));
        }
        catch (Exception e)
        {
            // Whatever it is, threads that cannot be had included: the client's next packet tries again.
            file?.Discard();
            session.Tell(new SessionActor.OpenFailed(e.Message));
        }
    }
}
