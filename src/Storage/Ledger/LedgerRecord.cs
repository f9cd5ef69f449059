namespace NetdumpCollector.Storage;

/// <summary>What a record of a ledger is about; numbers are part of the file format.</summary>
public enum LedgerRecordType : ushort
{
    Opened = 1,
    Kdh = 2,
    Key = 3,
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

    /// <summary>A whole record of a type that this version does not know.</summary>
    public sealed record Unknown(ushort Type) : LedgerRecord;
}
