using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    /// <summary>Descriptors of a running dump: its socket, data, ledger and the directory they are in.</summary>
    public const int DescriptorsPerRunningDump = 4;

    /// <summary>Descriptors of a dump that has ended and answers a repeated FINISHED: its socket, ledger and the directory they are in.</summary>
    public const int DescriptorsPerEndedDump = 3;

    private long _takenOverDescriptors;

    /// <summary>Descriptors that dumps of an earlier process may have; more stay as they are.</summary>
    public long MaxTakenOverDescriptors { get; set; } = long.MaxValue;

    /// <summary>Directories at which a file system begins: the root, and what is mounted beneath it. Asks none of these file systems, so it returns also where one hangs.</summary>
    /// <remarks>Source: proc_pid_mountinfo(5). Where there is no such file, all that is known is the root.</remarks>
    public IReadOnlyList<string> FileSystemTops()
    {
        try
        {
            // The kernel names mounts by paths without links, as it does an open directory.
            string root = File.ResolveLinkTarget($"/proc/self/fd/{_handle.DangerousGetHandle()}", returnFinalTarget: false)?.FullName ?? Root;
            return [Root, .. File.ReadLines(MountedFileSystem.Table)
                .Select(line => MountedFileSystem.Unescaped(line.Split(' ')[4]))
                .Where(mount => mount.StartsWith($"{root}/", StringComparison.Ordinal))
                .Select(mount => Path.Join(Root, mount[root.Length..]))
                .Distinct(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [Root];
        }
    }

    /// <summary>Takes over the dumps that an earlier process left: killed, stopped, or lost with its machine.</summary>
    /// <param name="top">One of <see cref="FileSystemTops"/>; what is mounted beneath it is left out.</param>
    /// <param name="onProblem">Told of each that cannot be continued, and why; its files stay as they are.</param>
    /// <exception cref="StorageException">The root itself cannot be read.</exception>
    public IReadOnlyList<InterruptedDump> TakeOver(string top, Action<string> onProblem)
    {
        var interrupted = new List<InterruptedDump>();
        // Once for all of them: a directory may have a hundred thousand files.
        var (ledgers, drafts) = DumpCatalog.LeftBeneath(Root, top, FileSystemTops().ToHashSet(StringComparer.Ordinal), onProblem);
        // The youngest first: where there are too many, the kernels of the others are the likelier to be gone.
        foreach (string path in ledgers.OrderByDescending(IdOfLedger, StringComparer.Ordinal))
        {
            // It goes on where its packets come to.
            if (IsShared(path, onProblem))
                continue;
            try
            {
                if (Volatile.Read(ref _takenOverDescriptors) + DescriptorsPerRunningDump > MaxTakenOverDescriptors)
                    throw new StorageException($"ledger {path}: there are no descriptors to continue so many dumps (ulimit -n, LimitNOFILE=); start again with a higher limit");
                if (TakeOverDump(path, drafts) is not { } dump)
                    continue;
                interrupted.Add(dump);
                Interlocked.Add(ref _takenOverDescriptors, dump.Saved is null ? DescriptorsPerEndedDump : DescriptorsPerRunningDump);
            }
            catch (StorageException e)
            {
                onProblem(e.Message);
            }
        }

        return interrupted;
    }

    /// <summary>The part of a ledger's name that begins with the time.</summary>
    private static string IdOfLedger(string path)
    {
        string name = Path.GetFileName(path)[..^DumpFile.LedgerSuffix.Length];
        return name[(name.LastIndexOf('.') + 1)..];
    }

    /// <summary>Null when another process has the dump, or nothing is left to do for it.</summary>
    private InterruptedDump? TakeOverDump(string ledgerPath, ILookup<string, string> drafts)
    {
        string directory = Path.GetDirectoryName(ledgerPath)!;
        string relative = Path.GetRelativePath(Root, directory);
        bool isRoot = relative == ".";
        var folder = isRoot
            ? new DumpFolder(_handle, Root, "", OwnsHandle: false)
            : new(_contained.Open(relative, out _, out string? refusal) ?? throw new StorageException($"{ledgerPath}: its directory cannot be opened: {refusal}"), Root, relative, OwnsHandle: true);
        DumpFile? file = null;
        try
        {
            var dump = TakeOver(folder, Path.GetFileName(ledgerPath), drafts, ref file);
            if (dump is null)
                Close(file, folder);
            else if (LeavesHoles && dump.Saved is not null)
                dump.File.LeaveHoles(dump.File.ReadLength());
            return dump;
        }
        catch
        {
            Close(file, folder);
            throw;
        }
    }

    private static void Close(DumpFile? file, DumpFolder folder)
    {
        file?.Dispose();
        folder.Dispose();
    }

    private InterruptedDump? TakeOver(DumpFolder folder, string ledgerName, ILookup<string, string> drafts, ref DumpFile? opened)
    {
        string path = folder.PathOf(ledgerName);
        var ledger = Posix.OpenAt(folder.Handle, ledgerName, Posix.O_RDWR | Posix.O_NOFOLLOW | Posix.O_NONBLOCK)
            ?? throw new StorageException($"ledger {path}: {Errno.Words(Errno.Last)}");
        if (!IsOwned(ledger, folder, ledgerName))
        {
            ledger.Dispose();
            return null;
        }

        LedgerContents contents;
        LedgerRecord.Opened? identity;
        DumpEndpoint? endpoint;
        try
        {
            contents = LedgerFile.Read(ledger, path);
            identity = contents.Opened;
            endpoint = contents.Records.OfType<LedgerRecord.Endpoint>().FirstOrDefault()?.Value;
            if ((identity is null || endpoint is null) && IsEmpty(folder, ledgerName[..^DumpFile.LedgerSuffix.Length]))
            {
                // Killed while it made the files: nothing was acked yet.
                RemoveBeginning(folder, ledgerName, ledger);
                return null;
            }

            if (identity is null || endpoint is null || DumpFile.NameOf(identity.Identity) + DumpFile.LedgerSuffix != ledgerName)
                throw new StorageException($"ledger {path}: does not say whose dump it is; look at the data file beside it and remove both");
        }
        catch
        {
            ledger.Dispose();
            throw;
        }

        string name = DumpFile.NameOf(identity.Identity);
        var committing = contents.Records.OfType<LedgerRecord.Committing>().LastOrDefault();
        var committed = committing is null ? null : ManifestOf(folder, committing, identity.Identity.Id);
        // A crash in mid-commit: the data has its final name and nothing describes it yet. It begins anew.
        // So it does where the data has its first name: the commit was being taken back, and a crash of the machine kept the manifest from going.
        // EINVAL: it is there and no link.
        bool isPartial = Posix.KindOf(folder.Handle, name) == NameKind.Other && Errno.Last == Errno.EINVAL;
        if (committing is not null && (committed is null || isPartial))
        {
            string? error = TakeBackInterrupted(folder, committing, name, isDescribed: committed is not null, drafts);
            committed = null;
            if (error is not null)
            {
                ledger.Dispose();
                throw new StorageException(error);
            }
        }

        var data = committed is null ? Posix.OpenAt(folder.Handle, name, Posix.O_RDWR | Posix.O_NOFOLLOW) : Posix.OpenAt(folder.Handle, ledgerName, Posix.O_RDONLY | Posix.O_NOFOLLOW);
        if (data is null)
        {
            int errno = Errno.Last;
            if (errno == Errno.ENOENT && committing is null && contents.State is null)
            {
                RemoveBeginning(folder, ledgerName, ledger);
                return null;
            }

            ledger.Dispose();
            throw new StorageException(errno == Errno.ENOENT
                ? $"ledger {path}: its data file is gone; remove the ledger when nobody misses the dump"
                : $"{folder.PathOf(name)}: {Errno.Words(errno)}");
        }

        bool crashed = identity.BootId != BootId.Current || identity.BootId == Guid.Empty;
        var file = opened = new DumpFile(identity.Identity, endpoint.Value, folder, data, ledger, refusedPath: null) { Syncs = Syncs };
        if (committed is not null)
            RemoveDrafts(folder, committing!.Manifest, drafts);
        if (committed is not null && crashed)
        {
            file.RemoveLedger();
            return null;
        }

        // The process may have been killed before it made the manifest's name durable, and FINISHED is acked for nothing less.
        if (committed is not null)
        {
            file.CloseData();
            return new(file, Saved: null, IsWhole: committed.Status != DumpStatus.Incomplete && Posix.SyncDirectory(folder.Handle) == 0, MachineCrashed: false);
        }

        var saved = Restored(file, contents, endpoint.Value, crashed);
        // The same boot, and yet the page cache is gone: the file system failed and was mounted anew.
        if (!crashed && (ulong)file.ReadLength() < StoredEnd(saved))
        {
            crashed = true;
            saved = Restored(file, contents, endpoint.Value, crashed);
        }

        if (crashed)
            file = opened = WithNewLedger(file, data, contents, saved);
        else
            file.ContinueLedger(contents);
        return new(file, saved, IsWhole: false, crashed);
    }

    private static bool IsEmpty(DumpFolder folder, string name)
    {
        using var data = Posix.OpenAt(folder.Handle, name, Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
        return data is null ? Errno.Last == Errno.ENOENT : Posix.ReadAt(data, stackalloc byte[1], 0) == 0;
    }

    /// <summary>Removes the files of a dump that did not come to its first ack.</summary>
    private static void RemoveBeginning(DumpFolder folder, string ledgerName, SafeFileHandle ledger)
    {
        _ = Posix.Unlink(folder.Handle, ledgerName[..^DumpFile.LedgerSuffix.Length]);
        _ = Posix.Unlink(folder.Handle, ledgerName);
        ledger.Dispose();
    }

    /// <summary>Takes back what an interrupted commit did; its index is free again afterwards.</summary>
    /// <param name="folder">The dump's directory.</param>
    /// <param name="committing">What was noted of it.</param>
    /// <param name="partial">The name that the data had before, and may have.</param>
    /// <param name="isDescribed">The manifest is this dump's, though its data has the name before.</param>
    /// <param name="drafts">Temporary files, by what they were to become.</param>
    /// <returns>Why it could not be done, or null.</returns>
    private static string? TakeBackInterrupted(DumpFolder folder, LedgerRecord.Committing committing, string partial, bool isDescribed, ILookup<string, string> drafts)
    {
        bool isRenamed = !IsTaken(folder, [partial, committing.Manifest]);
        string? core = isRenamed ? committing.Core : null;
        if (CoreNames.OfManifest(committing) is not { } names)
            return TakeBack(folder, isDescribed ? committing.Manifest : null, [], core, partial);

        string[] manifest = isDescribed ? [names.Manifest] : [];
        // Looked for first: from then on nobody else begins to use the index.
        string[] left = [.. ((string[])[names.Info, names.Key]).Where(name => Posix.KindOf(folder.Handle, name) != NameKind.Missing)];
        // Where the index is another dump's by now, so are its other files.
        bool isShared = IsTaken(folder, names.CoresOfIndex().Where(other => other != core).Append(names.Manifest).Except(manifest));
        if (!isShared)
        {
            foreach (string name in (string[])[names.Info, names.Key, names.Manifest, names.CoreLink, names.InfoLink])
                RemoveDrafts(folder, name, drafts);
        }

        return TakeBack(folder, isDescribed ? names.Manifest : null, isShared ? [] : left, core, partial);
    }

    /// <summary>Removes what a process that was killed left of its attempts to write a file of this name.</summary>
    private static void RemoveDrafts(DumpFolder folder, string name, ILookup<string, string> drafts)
    {
        // One that stays costs a little space and means nothing.
        foreach (string path in drafts[folder.PathOf(name)])
            _ = Posix.Unlink(folder.Handle, Path.GetFileName(path));
    }

    /// <summary>What an earlier boot wrote and no checkpoint vouches for must not be believed by a later process of this boot.</summary>
    private static DumpFile WithNewLedger(DumpFile old, SafeFileHandle data, LedgerContents contents, SavedSession saved)
    {
        var folder = old.Folder;
        string temporary = $".{old.LedgerName}.tmp";
        _ = Posix.Unlink(folder.Handle, temporary);
        var ledger = CreateFile(folder.Handle, temporary, out string? error) ?? throw new StorageException(error!);
        _ = Posix.LockOwned(ledger);
        var file = new DumpFile(old.Identity, old.Endpoint, folder, data, ledger, refusedPath: null) { Syncs = old.Syncs };
        try
        {
            file.RestartLedger(contents.Records, saved);
            if (Posix.Rename(folder.Handle, temporary, old.LedgerName) is not 0 and var errno)
                throw new StorageException($"{folder.PathOf(temporary)}: cannot be renamed: {Errno.Words(errno)}");
        }
        catch
        {
            ledger.Dispose();
            _ = Posix.Unlink(folder.Handle, temporary);
            throw;
        }

        old.CloseLedger();
        _ = Posix.SyncDirectory(folder.Handle);
        return file;
    }

    /// <summary>The manifest that a commit wrote, when it got so far.</summary>
    private static Manifest? ManifestOf(DumpFolder folder, LedgerRecord.Committing committing, string id)
    {
        try
        {
            return ManifestFile.Read(folder.PathOf(committing.Manifest)) is var manifest && manifest.Id == id ? manifest : null;
        }
        catch (StorageException)
        {
            return null;
        }
    }

    private static SavedSession Restored(DumpFile file, LedgerContents contents, DumpEndpoint endpoint, bool crashed)
    {
        // Within one boot the page cache has everything that was written. After a crash of the machine only what a checkpoint waited for is sure to be there.
        byte[]? state = contents.State;
        IReadOnlyList<ByteRange> stored;
        if (crashed)
        {
            var checkpoint = contents.Records.OfType<LedgerRecord.Checkpoint>().LastOrDefault();
            state = checkpoint?.State.ToArray() is { } bytes && DumpSession.IsState(bytes) ? bytes : null;
            stored = state is null ? [] : checkpoint!.Stored;
        }
        else
        {
            stored = RangesOf(contents, LedgerRecordType.Stored);
        }

        var kept = state is null ? null : DumpSession.FirstBurstOf(state);
        var header = contents.Records.OfType<LedgerRecord.Kdh>().Select(record => KernelDumpHeader.Read(record.Header.Span)).OfType<KernelDumpHeader>().ToList();
        return new()
        {
            HeraldSeqno = endpoint.HeraldSeqno,
            State = state,
            FileLength = crashed ? 0 : (ulong)file.ReadLength(),
            FirstBurst = kept is ByteRange range ? file.ReadBytes(range) : [],
            MovedFirstBurst = kept is ByteRange { Length: var length } ? file.ReadBytes(new(0, length)) : [],
            Ranges = stored,
            Damaged = RangesOf(contents, LedgerRecordType.Damaged),
            Overwritten = RangesOf(contents, LedgerRecordType.Overwritten),
            UnverifiedEnd = crashed ? (ulong)file.ReadLength() : 0,
            MachineCrashed = crashed,
            IsContinuation = file.Identity.Continues is not null,
            Header = header.Find(found => found.IsValid) ?? header.LastOrDefault(),
            KeyPieces = [.. contents.Records.OfType<LedgerRecord.Key>().Select(key => (key.Offset, key.Bytes))],
        };
    }

    /// <summary>The file is at least so long when everything is in it that was stored.</summary>
    private static ulong StoredEnd(SavedSession saved)
    {
        var session = DumpSession.Restore(new(), saved, nowUs: 0);
        ulong end = 0;
        foreach (var range in session.CoveredRanges)
        {
            // What lies beyond is acked and not written.
            if (range.Start < session.KeptBytes)
                end = Math.Min(range.End, session.KeptBytes);
        }

        // An interrupted commit may have cut it to that.
        return Math.Min(end, saved.Header?.DumpLength ?? ulong.MaxValue);
    }

    private static List<ByteRange> RangesOf(LedgerContents contents, LedgerRecordType what) =>
        [.. contents.Records.OfType<LedgerRecord.Ranges>().Where(record => record.What == what).SelectMany(record => record.Values)];
}
