using System.Diagnostics;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry.Tracing;

namespace NetdumpCollector.Actors.Storage;

/// <summary>Waits, for one running dump, until bytes are on the device, and notes that they are: what a crash of the machine leaves of it.</summary>
internal sealed class CheckpointActor(ActorRef<SessionActor.Message> session) : Actor<CheckpointActor.TakeCheckpoint>
{
    /// <summary>The session's state, and everything that was stored when it was in it; the dump's span, if it has one.</summary>
    public sealed record TakeCheckpoint(DumpFile File, byte[] State, ByteRange[] Ranges, Activity? Span);

    protected override void Receive(TakeCheckpoint message)
    {
        using var scope = new SpanScope(message.Span);
        message.File.Checkpoint(message.State, message.Ranges);
        session.Tell(new SessionActor.CheckpointDone());
    }
}
