using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    /// <summary>Becomes the newest owner of a dump, or finds that it has been ended.</summary>
    /// <param name="entry">The dump.</param>
    /// <param name="isWanted">Asked before anything is made.</param>
    /// <param name="local">The server's address that the client's packets come to now; null where none come.</param>
    /// <returns>Null where it is not wanted, not there yet or over.</returns>
    /// <exception cref="StorageException">It cannot be taken over; what was made for that stays and means nothing.</exception>
    private InterruptedDump? TakeOverShared(RunningEntry entry, Func<DumpFolder, OwnerChain, bool> isWanted, Ipv4? local = null)
    {
        var folder = FolderOf(entry);
        try
        {
            // Each turn another node was faster.
            for (int last = 0; ;)
            {
                var chain = OwnerChain.Read(folder, entry.Name);
                Step(SharedStep.ChainRead);
                if (chain is null || !isWanted(folder, chain))
                    break;
                chain = chain with { Endpoint = chain.Endpoint with { Local = local ?? chain.Endpoint.Local } };
                if (chain.Marker is { } marker)
                    return Lingering(folder, marker, chain.Endpoint);
                if (Running().IsOwner(chain.Identity, chain.LastEpoch))
                    break;
                if (chain.LastEpoch >= OwnerChain.MaxEpochs)
                    throw new StorageException($"{folder.PathOf(entry.Name)}: has been taken over {chain.LastEpoch} times; nodes seem to take each other's packets: look at who has the address");
                if (chain.LastEpoch == last)
                    throw new StorageException($"{folder.PathOf(SegmentName.LedgerOf(entry.Name, last + 1))}: is there and cannot be seen; mount the directory with lookupcache=positive");
                last = chain.LastEpoch;
                MarkFormer(folder, entry.Name, last);
                Step(SharedStep.FormerMarked);
                if (ClaimEpoch(folder, SegmentName.LedgerOf(entry.Name, last + 1)) is not SafeFileHandle ledger)
                    continue;
                if (GoOn(folder, entry, chain, ledger) is { } dump)
                    return dump;
                break;
            }
        }
        catch
        {
            folder.Dispose();
            throw;
        }

        folder.Dispose();
        return null;
    }

    private DumpFolder FolderOf(RunningEntry entry)
    {
        if (entry.Relative.Length == 0)
            return new(_handle, Root, "", OwnsHandle: false);
        var handle = _contained.Open(entry.Relative, out string relative, out string? refusal)
            ?? throw new StorageException($"{Path.Join(Root, entry.Relative)}: the directory of running dump {entry.Key} cannot be opened: {refusal}");
        return new(handle, Root, relative, OwnsHandle: true);
    }

    /// <summary>Makes the ledger that only one node can make; null where another one has.</summary>
    /// <remarks>Its mode stays as it was made: the next claimant may have taken the right to write by now, and must not have it given back.</remarks>
    private SafeFileHandle? ClaimEpoch(DumpFolder folder, string ledgerName)
    {
        var ledger = Posix.OpenAt(folder.Handle, ledgerName, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, Posix.FileMode);
        if (ledger is null)
            return Errno.Last == Errno.EEXIST ? null : throw new StorageException($"{folder.PathOf(ledgerName)}: cannot be created: {Errno.Words(Errno.Last)}");
        Step(SharedStep.EpochClaimed);
        _ = Posix.LockOwned(ledger);
        return ledger;
    }

    /// <summary>Goes on with a claimed dump. What was acked by earlier owners is read only now, when each of them sees that it is none any more and acks nothing.</summary>
    /// <returns>Null where the dump was ended, and removed, before it was claimed.</returns>
    private InterruptedDump? GoOn(DumpFolder folder, RunningEntry entry, OwnerChain chain, SafeFileHandle ledger)
    {
        SafeFileHandle? data = null;
        SharedDump? shared = null;
        DumpFile? file = null;
        try
        {
            int epoch = chain.LastEpoch + 1;
            string name = SegmentName.Of(entry.Name, epoch);
            data = CreateFile(folder.Handle, name, out string? error) ?? throw new StorageException(error!);
            Step(SharedStep.SegmentMade);
            SyncNames(folder);
            Step(SharedStep.ClaimDurable);
            var newest = NewestLedger(folder, entry.Name, chain.LastEpoch);
            Step(SharedStep.LedgersRead);
            if (newest is not var (contents, lastEpoch))
            {
                _ = Posix.Unlink(folder.Handle, name);
                _ = Posix.Unlink(folder.Handle, SegmentName.LedgerOf(entry.Name, epoch));
                data.Dispose();
                ledger.Dispose();
                return null;
            }

            var inherited = Inheritance.Of(contents, lastEpoch, chain.Endpoint);
            shared = new(chain.Identity, folder.Handle, epoch, Sharing!.FileName, inherited.Segments, Running());
            file = new(chain.Identity, chain.Endpoint, folder, data, ledger, refusedPath: null, shared) { Syncs = Syncs };
            if (LeavesHoles)
                file.LeaveHoles(fileBytes: 0);
            if (!file.TryContinue(inherited, out error))
                throw new StorageException(error!);
            Step(SharedStep.BaseWritten);
            return new(file, WithFirstBurst(inherited.Saved, file), IsWhole: false, MachineCrashed: false);
        }
        catch
        {
            file?.Dispose();
            shared?.Dispose();
            data?.Dispose();
            ledger.Dispose();
            throw;
        }
    }

    private static SavedSession WithFirstBurst(SavedSession saved, DumpFile file) =>
        saved.State is not { } state || DumpSession.FirstBurstOf(state) is not ByteRange kept
            ? saved
            : saved with { FirstBurst = file.ReadForSure(kept), MovedFirstBurst = file.ReadForSure(new(0, kept.Length)) };

    /// <summary>Takes the right to write from the ledgers of all owners so far, by which they see that they are none any more. Before a new ledger is made, so that who may not do this harms nobody.</summary>
    /// <exception cref="StorageException">It cannot be taken from one of them.</exception>
    private void MarkFormer(DumpFolder folder, string name, int last)
    {
        for (int former = 1; former <= last; former++)
        {
            using var ledger = OwnerChain.Open(folder, SegmentName.LedgerOf(name, former));
            // Without modes the name of the next ledger is all there is.
            if (ledger is not null && Posix.MakeReadOnly(ledger) is not 0 and var errno && Running().HeedsModes)
                throw new StorageException($"{folder.PathOf(SegmentName.LedgerOf(name, former))}: cannot be taken from its owner: {Errno.Words(errno)}; all nodes have to run as the same user");
        }
    }

    /// <summary>Reads the ledger of the newest owner that had noted what it has from those before; null where the first one is gone.</summary>
    private static (LedgerContents Contents, int Epoch)? NewestLedger(DumpFolder folder, string name, int lastEpoch)
    {
        // A dump that is over loses its first ledger first.
        using var first = OwnerChain.Open(folder, SegmentName.LedgerOf(name, 1));
        if (first is null)
            return null;
        for (int epoch = lastEpoch; epoch > 1; epoch--)
        {
            string ledgerName = SegmentName.LedgerOf(name, epoch);
            using var ledger = OwnerChain.Open(folder, ledgerName);
            if (ledger is not null && LedgerFile.Read(ledger, folder.PathOf(ledgerName)) is var contents && Inheritance.IsWhole(contents, epoch))
                return (contents, epoch);
        }

        return (LedgerFile.Read(first, folder.PathOf(SegmentName.LedgerOf(name, 1))), 1);
    }

    /// <summary>A dump that an owner has ended: a repeated FINISHED may have to be answered, also while that owner, or who does its work, still joins segments.</summary>
    private InterruptedDump Lingering(DumpFolder folder, CommitMarker marker, DumpEndpoint endpoint)
    {
        string name = SegmentName.LedgerOf(DumpFile.NameOf(marker.Identity), marker.Epoch + 1);
        var ledger = Posix.OpenAt(folder.Handle, name, Posix.O_RDONLY | Posix.O_NOFOLLOW);
        var data = ledger is null ? null : Posix.OpenAt(folder.Handle, name, Posix.O_RDONLY | Posix.O_NOFOLLOW);
        if (ledger is null || data is null)
        {
            ledger?.Dispose();
            throw new StorageException($"{folder.PathOf(name)}: {Errno.Words(Errno.Last)}");
        }

        var shared = new SharedDump(marker.Identity, folder.Handle, marker.Epoch, Sharing!.FileName, earlier: [], Running());
        var file = new DumpFile(marker.Identity, endpoint, folder, data, ledger, refusedPath: null, shared) { Syncs = Syncs, Commit = new(marker) };
        file.CloseData();
        // Its node may have died before it had synced the name, and FINISHED is acked for nothing less.
        return new(file, Saved: null, marker.IsWhole && Posix.SyncDirectory(folder.Handle) == 0, MachineCrashed: false);
    }

    private void Step(SharedStep step) => _running?.OnStep?.Invoke(step);
}
