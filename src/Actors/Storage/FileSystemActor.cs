using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Storage;

/// <summary>What has to be done on one file system and nobody waits for.</summary>
public sealed class FileSystemActor : Actor<FileSystemActor.Message>
{
    public abstract record Message;

    /// <summary>Starts writing a range of a running dump to the device, so that the fsync before the last ack is short.</summary>
    public sealed record StartWriteback(DumpFile File, ulong Offset, ulong Length) : Message;

    /// <summary>Removes the files of a dump that turned out not to be one.</summary>
    public sealed record DiscardDump(DumpFile File) : Message, IOwningMessage
    {
        public void OnDeadLetter() => File.Discard();
    }

    /// <summary>Closes the files of a dump, which stay for the server's next start.</summary>
    public sealed record CloseDump(DumpFile File) : Message, IOwningMessage
    {
        public void OnDeadLetter() => File.Dispose();
    }

    /// <summary>Removes the ledger of a dump whose client has been answered for long enough.</summary>
    public sealed record RemoveLedger(DumpFile File) : Message, IOwningMessage
    {
        public void OnDeadLetter() => File.RemoveLedger();
    }

    protected override void Receive(Message message)
    {
        switch (message)
        {
            case StartWriteback range:
                range.File.StartWriteback(range.Offset, range.Length);
                break;
            case DiscardDump discard:
                discard.File.Discard();
                break;
            case CloseDump close:
                close.File.Dispose();
                break;
            case RemoveLedger ended:
                ended.File.RemoveLedger();
                break;
        }
    }
}
