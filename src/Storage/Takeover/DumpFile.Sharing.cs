using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed unsafe partial class DumpFile
{
    /// <summary>The ledger was not durable once; see <see cref="SyncError"/>.</summary>
    private string? _ledgerError;

    /// <summary>Other nodes go on with the dump where this one ends.</summary>
    public bool IsShared => Shared is not null;

    /// <summary>The number of this owner of the dump, from 1 on; more than 1 only where it is shared.</summary>
    public int Epoch => Shared?.Epoch ?? 1;

    internal SharedDump? Shared { get; }

    /// <summary>Another node has the dump now, or it is over: this one writes, acks and commits nothing of it any more. Once true it stays so.</summary>
    /// <remarks>
    /// Asked before a batch is written, and again after it was synced and before its acks leave: a node that takes over first makes it true and then reads the ledger, so it knows of all that is acked.
    /// One system call, no allocation; on a network file system the server is asked.
    /// </remarks>
    public bool IsSuperseded() => Shared is not null && Shared.IsSuperseded(_ledger);

    /// <summary>Waits until the data is on the device, and at the first time the names of the files: what another machine will find. Blocks.</summary>
    /// <param name="error">Why it is not, in words, or null.</param>
    /// <returns>False when it is not; for data that is never taken back, because the system reports a lost page once.</returns>
    public bool TrySyncData(out string? error)
    {
        error = null;
        if (!TrySync(Posix.SyncData))
            error = SyncError;
        else if (!_namesAreDurable)
        {
            if (Posix.SyncDirectory(Folder.Handle) is not 0 and var errno)
                error = $"directory {Folder.PathOf("")}: not durable, fsync failed: {Errno.Words(errno)}";
            else
                error = Shared?.Entries.Sync();
            _namesAreDurable = error is null;
        }

        return error is null;
    }

    /// <summary>Waits until another machine would find that the dump has begun: from then on nobody needs its herald. Blocks.</summary>
    /// <param name="error">Why it would not, in words, or null.</param>
    internal bool TrySyncBeginning(out string? error) => TrySyncLedger(out error) && TrySyncData(out error);

    /// <summary>Waits until the ledger is on the device. Blocks.</summary>
    /// <param name="error">Why it is not, in words, or null.</param>
    /// <returns>False when it is not. That is never taken back; a new owner, which may be this node (<see cref="DumpDirectory.TakeOverFlow"/>), has a new ledger.</returns>
    public bool TrySyncLedger(out string? error)
    {
        if (_ledgerError is null && Posix.SyncData(_ledger) is not 0 and var errno)
            _ledgerError = $"ledger of {PartialPath}: not durable, fsync failed: {Errno.Words(errno)}";
        error = _ledgerError;
        _hasUnsyncedRecords &= error is not null;
        return error is null;
    }

    /// <summary>How the dump's commit stands; null before it has begun.</summary>
    internal SharedCommit? Commit { get; set; }

    /// <summary>The ledger has its name: the dump is not over. Whoever was about to claim it may have taken the right to write from it by now.</summary>
    /// <exception cref="StorageException">The file system does not tell.</exception>
    internal bool HasLedger()
    {
        ulong named = Known(Posix.InodeOf(Folder.Handle, LedgerName)), own = Known(Posix.InodeOf(_ledger));
        return named != 0 && named == own;

        ulong Known(ulong inode) => inode != 0 || Errno.Last == Errno.ENOENT || Errno.Last == Errno.ESTALE
            ? inode
            : throw new StorageException($"{Folder.PathOf(LedgerName)}: {Errno.Words(Errno.Last)}");
    }

    /// <summary>The data file has this name as well.</summary>
    /// <remarks>By the number that it had when it was opened: one that another node has given up may not be asked any more.</remarks>
    internal bool IsCalled(string name) => Posix.IsNameOf(_inode, Folder.Handle, name);

    /// <summary>Removes the files of a dump of which nothing was acked, unless another node goes on with it.</summary>
    /// <remarks>The ledger gets the name that the next owner's would have: only one node can have it made, and whoever looks from then on finds no dump. A later owner's files stay: owners behind it are found over its ledger.</remarks>
    private void GiveUp()
    {
        if (Epoch > 1 || IsSuperseded())
            return;
        string next = SegmentName.LedgerOf(NameOf(Identity), Epoch + 1);
        ulong ledger = Posix.InodeOf(_ledger);
        ulong entry = Shared!.Entries.InodeOf(Identity);
        // The server of a network file system may have done it and not been heard.
        if (Posix.RenameWithoutReplacing(Folder.Handle, LedgerName, next) != 0 && !Posix.IsNameOf(ledger, Folder.Handle, next))
            return;
        Shared.Entries.OnStep?.Invoke(SharedStep.GivenUp);
        // Another node that knows of the herald may have begun the dump anew since.
        if (Posix.IsNameOf(ledger, Folder.Handle, LedgerName))
            _ = Posix.Unlink(Folder.Handle, LedgerName);
        if (IsCalled(Name))
            _ = Posix.Unlink(Folder.Handle, Name);
        _ = Posix.Unlink(Folder.Handle, next);
        if (Shared.Entries.InodeOf(Identity) == entry)
            Shared.Entries.Remove(RunningDumps.NameOf(Identity));
    }

    /// <summary>Starts the ledger of an owner that goes on with what those before have stored, durably: before anything else is written, so that each ledger tells the next owner all.</summary>
    internal bool TryContinue(Inheritance inherited, out string? error)
    {
        bool written = AppendOpened(out error);
        foreach (var segment in inherited.Segments)
        {
            byte[] owner = LedgerFormat.OwnerPayload(segment.Epoch, segment.Node);
            foreach (var ranges in segment.Ranges.Chunk((LedgerFormat.MaxPayloadBytes - owner.Length) / LedgerFormat.RangeBytes))
                written = written && Append(LedgerRecordType.Segment, owner, LedgerFormat.RangesPayload(ranges), out error);
        }

        foreach (var record in inherited.Records)
        {
            written = written && record switch
            {
                LedgerRecord.Kdh kdh => AppendKdh(kdh.Header.Span, out error),
                LedgerRecord.Key key => AppendKey(key.Offset, key.Bytes.Span, out error),
                LedgerRecord.Ranges notes => AppendRanges(notes.What, [.. notes.Values], out error),
                _ => true,
            };
        }

        return written && AppendRanges(LedgerRecordType.Stored, inherited.Stored.Ranges, out error)
            && Append(LedgerRecordType.Continued, [], inherited.Saved.State ?? [], out error)
            && TrySyncLedger(out error);
    }

    /// <summary>Puts the records on the device that the next state counts on: another machine may find a later write without an earlier one.</summary>
    private bool TrySettleRecords(out string? error)
    {
        error = null;
        // The data is synced before a state is written, so these bytes are there.
        if (Shared!.TakeRewritten() is { } rewritten && !AppendRanges(LedgerRecordType.Rewritten, rewritten, out error))
        {
            Shared.GiveBackRewritten(rewritten);
            return false;
        }

        return !_hasUnsyncedRecords || TrySyncLedger(out error);
    }

    /// <summary>Reads stored bytes, perhaps not all of them; less than 0 where they cannot be read.</summary>
    private int ReadStored(Span<byte> bytes, ulong offset) =>
        Shared is null ? Posix.ReadAt(_file, bytes, (long)offset) : Shared.Read(_file, bytes, offset);
}
