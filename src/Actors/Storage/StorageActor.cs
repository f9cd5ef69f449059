using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Does for one running dump what may wait for a device, on threads that may block.</summary>
public sealed class StorageActor(DumpDirectory directory, ActorRef<SessionActor.Message> session) : Actor<StorageActor.Message>
{
    public abstract record Message;

    /// <summary>Opens the dump's files; answered by Opened or OpenFailed.</summary>
    public sealed record Open(DumpIdentity Identity, string? HeraldPath) : Message;

    /// <summary>Starts writing a range to the device.</summary>
    public sealed record StartWriteback(DumpFile File, ulong Offset, ulong Length) : Message;

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case Open open:
                OpenFiles(open);
                break;
            case StartWriteback range:
                range.File.StartWriteback(range.Offset, range.Length);
                break;
        }
    }

    private void OpenFiles(Open open)
    {
        try
        {
            session.Tell(new SessionActor.Opened(directory.Create(open.Identity, open.HeraldPath)));
        }
        catch (StorageException e)
        {
            session.Tell(new SessionActor.OpenFailed(e.Message));
        }
    }
}
