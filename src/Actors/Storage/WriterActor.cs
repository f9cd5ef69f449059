using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Writes the bursts of one running dump on its file system's threads, while no loop may wait for them.</summary>
internal sealed class WriterActor(FileSystemLane lane, ActorRef<SessionActor.Message> session) : Actor<WriterActor.StoreBurst>
{
    /// <summary>Stores a batch; answered by <see cref="SessionActor.BatchStored"/>.</summary>
    public sealed record StoreBurst(BurstStore Store, DumpFile File, Staging Packets, long NowUs);

    protected override void Receive(StoreBurst message)
    {
        var start = lane.BeginThreadedWrite();
        try
        {
            message.Store.Run(message.File, message.Packets.Datagrams, message.Packets.IsContested, message.NowUs);
        }
        finally
        {
            lane.EndThreadedWrite(start);
        }

        session.Tell(new SessionActor.BatchStored());
    }
}
