using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Opens the files of one dump, on threads that may wait for a device.</summary>
public sealed class StorageActor(SessionEnvironment environment, ActorRef<SessionActor.Message> session) : Actor<StorageActor.Message>
{
    public abstract record Message;

    /// <summary>Opens the dump's files; answered by Opened or OpenFailed.</summary>
    public sealed record Open(DumpIdentity Identity, string? HeraldPath) : Message;

    protected override void Receive(Message message)
    {
        var open = (Open)message;
        try
        {
            var file = environment.Directory.Create(open.Identity, open.HeraldPath);
            session.Tell(new SessionActor.Opened(file, environment.FileSystems.LaneOf(file)));
        }
        catch (StorageException e)
        {
            session.Tell(new SessionActor.OpenFailed(e.Message));
        }
    }
}
