using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A running dump: its data file <c>partial.IP.ID</c> and the ledger beside it. One user at a time.</summary>
/// <remarks>
/// Writes go to the page cache: they survive the server's process, not its machine. <see cref="DumpDirectory.Commit"/> makes them durable.
/// Both files stay where they are when this is disposed. The ledger is locked (flock) as long as the dump runs, which tells a running dump from a left-over one.
/// </remarks>
public sealed unsafe partial class DumpFile : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly SafeFileHandle _ledger;

    /// <summary>Checkpoints are appended by another thread than the session's records.</summary>
    private readonly Lock _appending = new();

    /// <summary>A checkpoint and the commit sync the data on different threads, and the system tells only one of them that pages were lost: the other one must not go on before that is noted.</summary>
    private readonly Lock _syncing = new();

    private readonly ulong _inode;
    private SparseWrites _sparse;
    private bool _leavesHoles;
    private long _ledgerLength;
    private bool _ledgerIsTorn;
    private uint _stateNumber;
    private bool _namesAreDurable;
    private bool _syncFailureIsNoted;
    private bool _hasUnsyncedRecords;

    internal DumpFile(DumpIdentity identity, DumpEndpoint endpoint, DumpFolder folder, SafeFileHandle file, SafeFileHandle ledger, string? refusedPath, SharedDump? shared = null)
    {
        Shared = shared;
        Identity = identity;
        Endpoint = endpoint;
        Folder = folder;
        Name = SegmentName.Of(NameOf(identity), Epoch);
        RefusedPath = refusedPath;
        _file = file;
        _ledger = ledger;
        Device = Posix.DeviceOf(file);
        _inode = shared is null ? 0 : Posix.InodeOf(file);
    }

    public DumpIdentity Identity { get; }

    /// <summary>Where the client sends to and is answered.</summary>
    public DumpEndpoint Endpoint { get; }

    /// <summary>Tells file systems apart: the same for all files on one; 0 where the system does not say.</summary>
    public ulong Device { get; }

    /// <summary>Absolute path of the data file while the dump runs.</summary>
    public string PartialPath => Folder.PathOf(Name);

    /// <summary>Why the dump is not in the directory that the herald asked for, or null when it is.</summary>
    public string? RefusedPath { get; }

    /// <summary>End of what this process wrote, or of what it found; a hole that it leaves at the end does not count.</summary>
    public ulong LengthBytes { get; private set; }

    /// <summary>This process leaves no zeros out and nobody else has stored anything: all that is stored lies below <see cref="LengthBytes"/>.</summary>
    public bool HasAllBytes => !_leavesHoles && !IsShared;

    /// <summary>See <see cref="DumpDirectory.Syncs"/>.</summary>
    internal SyncMeter? Syncs { get; init; }

    internal DumpFolder Folder { get; }

    /// <summary>The data file's name in <see cref="Folder"/>.</summary>
    internal string Name { get; }

    internal string LedgerName => Name + LedgerSuffix;

    /// <summary>The last attempt to commit the dump that gave the data its final name; null before there was one.</summary>
    internal CommitAttempt? Attempt { get; set; }

    /// <summary>A write-back failed. Linux reports that once and forgets it, so a later fsync that succeeds proves nothing.</summary>
    internal string? SyncError { get; private set; }

    internal const string NamePrefix = "partial.";
    internal const string LedgerSuffix = ".ledger";

    internal static string NameOf(DumpIdentity identity) => $"{NamePrefix}{identity.Client}.{identity.Id}";

    /// <summary>Writes the slices in order; neighbours go in one call.</summary>
    /// <param name="slices">What to write where. The memory must stay as it is until this returns.</param>
    /// <param name="error">Why not all was written, in words, or null.</param>
    /// <returns>How many leading slices are wholly in the file; later ones may be in part.</returns>
    public int Write(ReadOnlySpan<WriteSlice> slices, out string? error)
    {
        int whole = WriteBytes(slices, out error);
        if (_leavesHoles && !TryLengthen(ref error))
            whole = 0;
        Shared?.OnWritten(slices[..whole]);
        return whole;
    }

    /// <summary>From now on zeros above what the file holds are not written where that may spare a page.</summary>
    /// <param name="fileBytes">The file's length.</param>
    internal void LeaveHoles(long fileBytes)
    {
        _leavesHoles = true;
        _sparse = new((ulong)fileBytes);
    }

    /// <summary>Gives the file the length of the holes at its end.</summary>
    private bool TryLengthen(ref string? error)
    {
        if (_sparse.LengthBytes is not ulong length)
            return true;

        int errno = Posix.Truncate(_file, (long)length);
        if (errno == 0)
        {
            _sparse.OnLengthened();
            return true;
        }

        _sparse.OnLengthRefused();
        error = Failure(errno, length);
        return false;
    }

    [SkipLocalsInit]
    private int WriteBytes(ReadOnlySpan<WriteSlice> slices, out string? error)
    {
        error = null;
        var vectors = stackalloc Posix.IoVector[Math.Min(slices.Length, Posix.IovMax)];
        int whole = 0;
        int skipBytes = 0;
        while (whole < slices.Length)
        {
            // A run of neighbours, from the first byte that is not written yet.
            var first = slices[whole];
            if (first.Length == 0)
            {
                whole++;
                continue;
            }

            ulong start = first.Offset + (uint)skipBytes;
            ulong most = ulong.MaxValue;
            bool isHole = false;
            if (_leavesHoles)
                most = (ulong)_sparse.NextExtent(slices, whole, skipBytes, out isHole);
            ulong end = first.Offset + (uint)first.Length;
            vectors[0] = new() { Base = first.Data + skipBytes, Length = (nuint)(first.Length - skipBytes) };
            int count = 1;
            for (; whole + count < slices.Length && count < Posix.IovMax && slices[whole + count].Offset == end && end - start < most; count++)
            {
                var next = slices[whole + count];
                vectors[count] = new() { Base = next.Data, Length = (nuint)next.Length };
                end += (uint)next.Length;
            }

            if (end - start > most)
            {
                vectors[count - 1].Length -= (nuint)(end - start - most);
                end = start + most;
            }

            // pwritev takes a signed offset; nothing can be stored beyond 2^63 - 1, and an end below the start has wrapped.
            if (end < start || end > long.MaxValue)
            {
                error = Failure(Errno.EFBIG, start);
                return whole;
            }

            nint written = isHole ? (nint)(end - start) : Posix.WriteVectored(_file, vectors, count, (long)start);
            if (written < 0 && Errno.Last == Errno.EINTR)
                continue;
            if (written <= 0)
            {
                error = Failure(written < 0 ? Errno.Last : Errno.EIO, start);
                return whole;
            }

            if (!isHole)
            {
                _sparse.OnWritten(start + (ulong)written);
                LengthBytes = Math.Max(LengthBytes, start + (ulong)written);
            }

            long done = skipBytes + written;
            for (; count > 0 && done >= slices[whole].Length; count--)
                done -= slices[whole++].Length;
            skipBytes = (int)done;
        }

        return whole;
    }

    /// <summary>The dump holds exactly <paramref name="bytes"/> at <paramref name="offset"/>; false also when it cannot be read.</summary>
    public bool Matches(ulong offset, ReadOnlySpan<byte> bytes) => Matches(offset, bytes, out _);

    /// <summary>As <see cref="Matches(ulong, ReadOnlySpan{byte})"/>.</summary>
    /// <param name="offset">Where.</param>
    /// <param name="bytes">What is to be there.</param>
    /// <param name="error">Why a shared dump cannot be read, in words, or null: the next attempt may be able to, and nothing is known of the bytes. A file of this collector's alone that cannot be read is damaged.</param>
    [SkipLocalsInit]
    public bool Matches(ulong offset, ReadOnlySpan<byte> bytes, out string? error)
    {
        error = null;
        if (offset > long.MaxValue - (ulong)bytes.Length)
            return false;

        const int ChunkBytes = 16384;
        byte* stored = stackalloc byte[ChunkBytes];
        while (!bytes.IsEmpty)
        {
            int wanted = Math.Min(bytes.Length, ChunkBytes);
            int read = ReadStored(new(stored, wanted), offset);
            if (read < 0 && IsShared)
                error = $"cannot be read: {Failure(Errno.Last, offset)}";
            if (read <= 0 || !bytes[..read].SequenceEqual(new(stored, read)))
                return false;

            bytes = bytes[read..];
            offset += (ulong)read;
        }

        return true;
    }

    /// <summary>Notes in the ledger that the kernel dump header came.</summary>
    /// <returns>False when it is not in the ledger; <paramref name="error"/> then says why.</returns>
    public bool AppendKdh(ReadOnlySpan<byte> header, out string? error) => Append(LedgerRecordType.Kdh, [], header, out error);

    /// <summary>Notes a piece of the EKCD key blob in the ledger.</summary>
    /// <returns>False when it is not in the ledger; <paramref name="error"/> then says why.</returns>
    public bool AppendKey(ulong offset, ReadOnlySpan<byte> bytes, out string? error)
    {
        Span<byte> prefix = stackalloc byte[LedgerFormat.KeyPrefixBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, offset);
        return Append(LedgerRecordType.Key, prefix, bytes, out error);
    }

    /// <summary>Writes down where the session stands, in place of what was written before: what another process continues with.</summary>
    /// <param name="state">What <see cref="DumpSession.Save"/> wrote.</param>
    /// <param name="error">Why it could not be written, in words, or null.</param>
    [SkipLocalsInit]
    public bool WriteState(ReadOnlySpan<byte> state, out string? error)
    {
        Span<byte> place = stackalloc byte[LedgerFormat.StatePlaceBytes];
        state.CopyTo(place[LedgerFormat.StateHeaderBytes..]);
        if (Shared is not null && !TrySettleRecords(out error))
            return false;
        uint number = _stateNumber + 1;
        LedgerFormat.SealState(place, number);
        error = null;
        for (int done = 0; done < place.Length && error is null;)
        {
            int written = Posix.WriteAt(_ledger, place[done..], LedgerFormat.StateOffset(number) + done);
            if (written <= 0)
                error = $"ledger of {PartialPath}: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}";
            done += written;
        }

        if (error is null)
            _stateNumber = number;
        return error is null;
    }

    /// <summary>The data file still has a name that this process knows; false where somebody has removed it. Of a shared dump that says nothing: another node may have committed it, which the next attempt tells.</summary>
    public bool IsThere() => IsShared || Posix.KindOf(Folder.Handle, Name) != NameKind.Missing
        || (Attempt is { IsTakenBack: false } && Posix.KindOf(Folder.Handle, Attempt.Names.Core) != NameKind.Missing);

    /// <summary>Notes ranges that were stored apart, or that something happened to.</summary>
    /// <returns>False when they are not in the ledger; <paramref name="error"/> then says why.</returns>
    public bool AppendRanges(LedgerRecordType what, ReadOnlySpan<ByteRange> ranges, out string? error)
    {
        error = null;
        Span<byte> payload = stackalloc byte[64 * LedgerFormat.RangeBytes];
        while (!ranges.IsEmpty)
        {
            int count = Math.Min(ranges.Length, 64);
            for (int i = 0; i < count; i++)
                LedgerFormat.WriteRange(payload[(i * LedgerFormat.RangeBytes)..], ranges[i]);
            if (!Append(what, [], payload[..(count * LedgerFormat.RangeBytes)], out error))
                return false;
            ranges = ranges[count..];
        }

        return true;
    }

    /// <summary>Waits until the bytes of a state are on the device and notes in the ledger, durably, that they are: what a crash of the machine leaves of the dump. Blocks.</summary>
    /// <returns>False when they are not; that is never taken back, because the system reports a lost page once.</returns>
    public bool Checkpoint(ReadOnlySpan<byte> state, ReadOnlySpan<ByteRange> ranges)
    {
        try
        {
            if (!TrySync(Posix.SyncData))
                return false;

            // What no name leads to after a crash is vouched for in vain.
            if (!_namesAreDurable && Posix.SyncDirectory(Folder.Handle) != 0)
                return false;
            _namesAreDurable = true;

            // A dump in more pieces than that keeps its last checkpoint.
            if (ranges.Length > (LedgerFormat.MaxPayloadBytes - state.Length) / LedgerFormat.RangeBytes)
                return true;
            return Append(LedgerRecordType.Checkpoint, state, LedgerFormat.RangesPayload(ranges), out _) && Posix.SyncData(_ledger) == 0;
        }
        catch (ObjectDisposedException)
        {
            // The dump ended while this waited in a queue.
            return true;
        }
    }

    /// <summary>Reads bytes of the dump; fewer than asked for at its end or where it cannot be read.</summary>
    public byte[] ReadBytes(ByteRange range)
    {
        byte[] bytes = new byte[range.Length];
        int read = ReadStored(bytes, range.Start);
        return bytes[..Math.Max(0, read)];
    }

    /// <summary>As <see cref="ReadBytes"/>, where what cannot be read must not be taken for what is not there.</summary>
    /// <exception cref="StorageException">They cannot be read.</exception>
    internal byte[] ReadForSure(ByteRange range)
    {
        byte[] bytes = new byte[range.Length];
        int read = ReadStored(bytes, range.Start);
        return read >= 0 ? bytes[..read] : throw new StorageException($"{PartialPath}: cannot be read: {Failure(Errno.Last, range.Start)}");
    }

    /// <summary>Reads bytes of the dump on a thread that is not the session's. Blocks.</summary>
    /// <returns>False when they are not all there to be read: the file ends before, cannot be read, or was closed when the dump ended.</returns>
    public bool TryRead(ulong offset, Span<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                int read = ReadStored(bytes, offset);
                if (read <= 0)
                    return false;
                bytes = bytes[read..];
                offset += (ulong)read;
            }

            return true;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Ends the ledger's use: the dump is durable and its client was answered for long enough.</summary>
    public void RemoveLedger()
    {
        if (Shared is not null)
            SharedRemoval.Remove(Folder, Identity, Shared.Entries, hadOneOwner: Epoch == 1 && Commit is { IsOwn: true });
        else
            _ = Posix.Unlink(Folder.Handle, LedgerName);
        Dispose();
    }

    internal void CloseLedger() => _ledger.Dispose();

    /// <summary>Lets go of the data file, which has its final name now; the ledger stays until <see cref="RemoveLedger"/>.</summary>
    public void CloseData() => _file.Dispose();

    /// <summary>Asks the system to start writing a range to the device, so that the fsync at the end is short. May block when the device's queue is full.</summary>
    public void StartWriteback(ulong offset, ulong length)
    {
        if (offset > long.MaxValue || length > long.MaxValue - offset)
            return;

        try
        {
            Posix.StartWriteback(_file, (long)offset, (long)length);
        }
        catch (ObjectDisposedException)
        {
            // The dump ended while this waited in a queue.
        }
    }

    /// <summary>Removes both files of a dump that turned out not to be one, and closes them.</summary>
    public void Discard()
    {
        if (IsShared)
        {
            GiveUp();
        }
        else
        {
            _ = Posix.Unlink(Folder.Handle, Name);
            _ = Posix.Unlink(Folder.Handle, LedgerName);
        }

        Dispose();
    }

    public void Dispose()
    {
        _file.Dispose();
        _ledger.Dispose();
        Shared?.Dispose();
        Folder.Dispose();
    }

    /// <summary>Starts the ledger: file header and the record whose dump it is.</summary>
    internal bool AppendOpened(out string? error)
    {
        byte[] header = new byte[LedgerFormat.FileHeaderBytes];
        LedgerFormat.WriteFileHeader(header);
        return AppendRaw(header, [], [], out error)
            && Append(LedgerRecordType.Opened, [], LedgerFormat.OpenedPayload(new(Identity, BootId.Current)), out error)
            && Append(LedgerRecordType.Endpoint, [], LedgerFormat.EndpointPayload(Endpoint), out error)
            && (Identity.Continues is not { } continues || Append(LedgerRecordType.PartOf, [], LedgerFormat.PartOfPayload(continues), out error))
            && (Shared is null || Append(LedgerRecordType.Owner, [], LedgerFormat.OwnerPayload(Shared.Epoch, Shared.Node), out error));
    }

    /// <summary>Goes on with a ledger that another process of the same boot began.</summary>
    internal void ContinueLedger(LedgerContents contents)
    {
        _ledgerLength = contents.LengthBytes;
        _ledgerIsTorn = !contents.EndsClean;
        _syncFailureIsNoted = contents.Records.Any(record => record is LedgerRecord.SyncFailed);
        if (_syncFailureIsNoted)
            SyncError = $"{PartialPath}: not durable, fsync failed before the collector was restarted";
        _stateNumber = contents.StateNumber;
        LengthBytes = (ulong)ReadLength();
    }

    /// <summary>Writes a ledger anew that says what is known after a crash of the machine, and no more.</summary>
    /// <exception cref="StorageException">It could not be written.</exception>
    internal void RestartLedger(IEnumerable<LedgerRecord> kept, SavedSession saved)
    {
        Span<byte> state = stackalloc byte[DumpSession.StateBytes];
        DumpSession.Restore(new(), saved, nowUs: 0).Save(state);
        LengthBytes = (ulong)ReadLength();
        ByteRange[] ranges = [.. saved.Ranges];
        bool written = AppendOpened(out string? error);
        foreach (var record in kept)
        {
            written = written && record switch
            {
                LedgerRecord.Kdh kdh => AppendKdh(kdh.Header.Span, out error),
                LedgerRecord.Key key => AppendKey(key.Offset, key.Bytes.Span, out error),
                LedgerRecord.Ranges { What: LedgerRecordType.Damaged or LedgerRecordType.Overwritten } notes => AppendRanges(notes.What, [.. notes.Values], out error),
                _ => true,
            };
        }

        if (!written || !AppendRanges(LedgerRecordType.Stored, ranges, out error) || !WriteState(state, out error))
            throw new StorageException(error!);
        if (!Checkpoint(state, ranges))
            throw new StorageException(SyncError ?? $"ledger of {PartialPath}: not durable");
    }

    /// <summary>Notes, durably, which name the data file is about to get: where the rename outlives a crash, nothing else tells whose data that is.</summary>
    /// <exception cref="StorageException">It is not on the device.</exception>
    internal void NoteCommitting(CoreNames names)
    {
        if (!Append(LedgerRecordType.Committing, [], LedgerFormat.CommittingPayload(names.Core, names.Manifest), out string? error))
            throw new StorageException(error!);
        if (Posix.SyncData(_ledger) is not 0 and var errno)
            throw new StorageException($"ledger of {PartialPath}: not durable, fsync failed: {Errno.Words(errno)}");
    }

    /// <summary>The data file's length in bytes.</summary>
    /// <exception cref="StorageException">The system does not say.</exception>
    internal long ReadLength()
    {
        try
        {
            return RandomAccess.GetLength(_file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new StorageException($"length of {PartialPath}: {e.Message}", e);
        }
    }

    /// <summary>Cuts the data file to <paramref name="length"/> bytes where that is given and it is longer, in any case to <paramref name="keptBytes"/>, and waits until it is on the device.</summary>
    /// <exception cref="StorageException">It is shorter than <paramref name="length"/>, or it is not durable.</exception>
    internal void Settle(long? length, ulong keptBytes = ulong.MaxValue)
    {
        if (SyncError is not null && !TrySync(Posix.Sync))
            throw new StorageException(SyncError);

        long most = Math.Min(length ?? long.MaxValue, (long)Math.Min(keptBytes, long.MaxValue));
        if (most < long.MaxValue)
        {
            long actual = ReadLength();
            if (actual < length)
                throw new StorageException($"{PartialPath}: has {actual} bytes, the dump has {length}");
            if (actual > most && Posix.Truncate(_file, most) is not 0 and var errno)
                throw new StorageException($"{PartialPath}: cannot be truncated to {most} bytes: {Errno.Words(errno)}");
        }

        if (!TrySync(Posix.Sync))
            throw new StorageException(SyncError!);
    }

    /// <summary>Waits until the data is on the device; false when it is not, or was not once, and <see cref="SyncError"/> then says why.</summary>
    private bool TrySync(Func<SafeFileHandle, int> sync)
    {
        lock (_syncing)
        {
            int errno = SyncError is not null ? 0 : Syncs is { } meter ? meter.Measure(sync, _file) : sync(_file);
            if (errno != 0)
                SyncError = $"{PartialPath}: not durable, fsync failed: {Errno.Words(errno)}";
            // For the next process. What made the fsync fail may keep the ledger from being written as well, so each attempt tries again.
            if (SyncError is not null && !_syncFailureIsNoted)
                _syncFailureIsNoted = Append(LedgerRecordType.SyncFailed, [], [], out _);
            return SyncError is null;
        }
    }

    private bool Append(LedgerRecordType type, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> rest, out string? error)
    {
        if (prefix.Length + rest.Length > LedgerFormat.MaxPayloadBytes)
            throw new ArgumentException($"A ledger record has at most {LedgerFormat.MaxPayloadBytes} bytes", nameof(rest));

        Span<byte> header = stackalloc byte[LedgerFormat.RecordHeaderBytes];
        LedgerFormat.WriteRecordHeader(header, type, prefix, rest);
        return AppendRaw(header, prefix, rest, out error);
    }

    /// <summary>Appends at the end of the last whole record, so that a record torn by a full disk does not hide the next one.</summary>
    /// <remarks>What is left of it goes first: behind a shorter record its bytes would be read as records, and they are the client's.</remarks>
    private bool AppendRaw(ReadOnlySpan<byte> header, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> rest, out string? error)
    {
        lock (_appending)
            return AppendLocked(header, prefix, rest, out error);
    }

    private bool AppendLocked(ReadOnlySpan<byte> header, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> rest, out string? error)
    {
        if (_ledgerIsTorn && Posix.Truncate(_ledger, _ledgerLength) is not 0 and var errno)
        {
            error = $"ledger of {PartialPath}: cannot be truncated to {_ledgerLength} bytes: {Errno.Words(errno)}";
            return false;
        }

        // Until all of it is written.
        _ledgerIsTorn = true;
        fixed (byte* headerAt = header, prefixAt = prefix, restAt = rest)
        {
            var vectors = stackalloc Posix.IoVector[3];
            vectors[0] = new() { Base = headerAt, Length = (nuint)header.Length };
            vectors[1] = new() { Base = prefixAt, Length = (nuint)prefix.Length };
            vectors[2] = new() { Base = restAt, Length = (nuint)rest.Length };
            int total = header.Length + prefix.Length + rest.Length;
            int first = 0;
            for (int done = 0; done < total;)
            {
                nint written = Posix.WriteVectored(_ledger, vectors + first, 3 - first, _ledgerLength + done);
                if (written < 0 && Errno.Last == Errno.EINTR)
                    continue;
                if (written <= 0)
                {
                    error = $"ledger of {PartialPath}: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}";
                    return false;
                }

                done += (int)written;
                for (; first < 3 && (nuint)written >= vectors[first].Length; first++)
                    written -= (nint)vectors[first].Length;
                if (first < 3)
                {
                    vectors[first].Base += written;
                    vectors[first].Length -= (nuint)written;
                }
            }

            _ledgerLength += total;
            _ledgerIsTorn = false;
            _hasUnsyncedRecords = true;
        }

        error = null;
        return true;
    }

    private static string Failure(int errno, ulong offset) => $"{Errno.Words(errno)} at offset 0x{offset:x}";
}
