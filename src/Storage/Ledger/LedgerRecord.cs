using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>What a record of a ledger is about; numbers are part of the file format.</summary>
public enum LedgerRecordType : ushort
{
    Opened = 1,
    Kdh = 2,
    Key = 3,
    Endpoint = 4,
    Stored = 5,
    Damaged = 6,
    Overwritten = 7,
    Committing = 8,
    Checkpoint = 9,
    SyncFailed = 10,
    Owner = 11,
    Segment = 12,
    Rewritten = 13,
    Continued = 14,
    PartOf = 15,
}

/// <summary>One thing that a dump's ledger remembers.</summary>
public abstract record LedgerRecord
{
    private LedgerRecord()
    {
    }

    /// <summary>The dump was opened; always the first record.</summary>
    /// <param name="Identity">Whose dump.</param>
    /// <param name="BootId">The boot of the machine that wrote it: within the same boot the page cache is intact, and so is every acked byte. Empty where the system has none.</param>
    public sealed record Opened(DumpIdentity Identity, Guid BootId) : LedgerRecord;

    /// <summary>A kernel dump header came: its 512 bytes as received.</summary>
    public sealed record Kdh(ReadOnlyMemory<byte> Header) : LedgerRecord;

    /// <summary>A piece of the EKCD key blob came.</summary>
    public sealed record Key(ulong Offset, ReadOnlyMemory<byte> Bytes) : LedgerRecord;

    /// <summary>Where the client sends to and where it is answered; the second record.</summary>
    public sealed record Endpoint(DumpEndpoint Value) : LedgerRecord;

    /// <summary>Ranges that were stored apart from the run of bytes from 0 on (<see cref="LedgerRecordType.Stored"/>), that an owner of a shared dump has stored anew (<see cref="LedgerRecordType.Rewritten"/>), or that something happened to.</summary>
    public sealed record Ranges(LedgerRecordType What, IReadOnlyList<ByteRange> Values) : LedgerRecord;

    /// <summary>The dump ended: its data file is about to get this name.</summary>
    public sealed record Committing(string Core, string Manifest) : LedgerRecord;

    /// <summary>What was on the device, not only in the page cache, when this was written: the session's state and all its ranges.</summary>
    public sealed record Checkpoint(ReadOnlyMemory<byte> State, IReadOnlyList<ByteRange> Stored) : LedgerRecord;

    /// <summary>The data could not be put on the device. The system says so once, so no later success proves anything, for no later process either.</summary>
    public sealed record SyncFailed : LedgerRecord;

    /// <summary>The dump is shared, and this is the ledger of one of its owners; the third record.</summary>
    /// <param name="Epoch">The owner's number, from 1 on.</param>
    /// <param name="Node">Its node.</param>
    public sealed record Owner(int Epoch, string Node) : LedgerRecord;

    /// <summary>What an owner before this ledger's has stored, or a part of that.</summary>
    /// <param name="Epoch">Its number.</param>
    /// <param name="Node">Its node.</param>
    /// <param name="Values">The bytes that count.</param>
    public sealed record Segment(int Epoch, string Node, IReadOnlyList<ByteRange> Values) : LedgerRecord;

    /// <summary>Everything is noted that this ledger's owner has from those before; what they noted counts no more. Empty state: nothing was acked.</summary>
    public sealed record Continued(ReadOnlyMemory<byte> State) : LedgerRecord;

    /// <summary>The dump goes on with one of another node's; the third record where there is one.</summary>
    public sealed record PartOf(DumpContinuation Continues) : LedgerRecord;

    /// <summary>A whole record of a type that this version does not know.</summary>
    public sealed record Unknown(ushort Type) : LedgerRecord;
}
