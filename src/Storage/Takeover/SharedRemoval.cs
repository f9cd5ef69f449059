using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>Removes the files of shared dumps that are over, in an order in which no other node takes what is left for a running dump.</summary>
internal static class SharedRemoval
{
    /// <summary>The newest change of the dump's files, as far as they follow each other; null where none is there.</summary>
    public static DateTimeOffset? NewestChange(DumpFolder folder, string name)
    {
        DateTimeOffset? newest = null;
        for (int epoch = 1; ; epoch++)
        {
            var segment = Posix.TimesOf(folder.Handle, SegmentName.Of(name, epoch));
            var ledger = Posix.TimesOf(folder.Handle, SegmentName.LedgerOf(name, epoch));
            if (segment is null && ledger is null && epoch > 1)
                return newest;
            foreach (var times in (ReadOnlySpan<FileTimes?>)[segment, ledger])
            {
                if (times is { } its && (newest is null || its.ModifiedAt > newest))
                    newest = its.ModifiedAt;
            }
        }
    }

    /// <summary>Removes the segments of a dump that has all its final names, and what ends of it that came to nothing have left.</summary>
    public static void RemoveSegments(DumpFolder folder, CommitMarker marker, Action<SharedStep> onStep)
    {
        string name = DumpFile.NameOf(marker.Identity);
        for (int epoch = 1; epoch <= marker.Epoch; epoch++)
        {
            string segment = SegmentName.Of(name, epoch);
            using var file = Posix.OpenAt(folder.Handle, segment, Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
            if (file is null)
                continue;
            ulong inode = Posix.InodeOf(file);

            // First, because nobody gives a file one more name that has none.
            _ = Posix.Unlink(folder.Handle, segment);
            onStep(SharedStep.SegmentRemoved);
            using var ledger = OwnerChain.Open(folder, SegmentName.LedgerOf(name, epoch));
            if (ledger is null)
                continue;
            foreach (var committing in LedgerFile.Read(ledger, folder.PathOf(segment)).Records.OfType<LedgerRecord.Committing>())
            {
                if (committing.Core != marker.Names.Core && Posix.IsNameOf(inode, folder.Handle, committing.Core))
                    _ = Posix.Unlink(folder.Handle, committing.Core);
            }
        }
    }

    /// <summary>Removes ledgers, marker and entry of a dump whose client was answered for long enough. What is not brought to its end stays, for <see cref="DumpDirectory.ClaimAbandoned"/>.</summary>
    /// <param name="folder">Where its files are.</param>
    /// <param name="identity">The dump.</param>
    /// <param name="entries">Where running dumps are listed.</param>
    /// <param name="hadOneOwner">This process began, ended and committed it: no killed one has left drafts of its files.</param>
    public static void Remove(DumpFolder folder, DumpIdentity identity, RunningDumps entries, bool hadOneOwner)
    {
        try
        {
            string name = DumpFile.NameOf(identity);
            if (OwnerChain.Read(folder, name) is not { Marker: { } marker })
                return;
            for (int epoch = 1; epoch <= marker.Epoch; epoch++)
            {
                if (Posix.KindOf(folder.Handle, SegmentName.Of(name, epoch)) != NameKind.Missing)
                    return;
            }

            if (!hadOneOwner)
                RemoveDrafts(folder, name, marker);
            // The first ledger first, durably: without it nobody takes the others for a dump, and each owner loses its own before the next one's, by which it would know.
            _ = Posix.Unlink(folder.Handle, SegmentName.LedgerOf(name, 1));
            entries.OnStep?.Invoke(SharedStep.FirstLedgerRemoved);
            if (Posix.SyncDirectory(folder.Handle) != 0)
                return;
            for (int epoch = 2; epoch <= marker.Epoch + 1; epoch++)
            {
                _ = Posix.Unlink(folder.Handle, SegmentName.LedgerOf(name, epoch));
                entries.OnStep?.Invoke(epoch <= marker.Epoch ? SharedStep.LedgerRemoved : SharedStep.MarkerRemoved);
            }

            entries.Remove(RunningDumps.NameOf(identity));
            entries.OnStep?.Invoke(SharedStep.EntryRemoved);
        }
        catch (StorageException)
        {
            // What cannot be read now is removed later.
        }
    }

    /// <summary>Removes what is left where a node was killed while it made a dump's first files, while it gave the dump up, or while it removed the last files.</summary>
    /// <exception cref="StorageException">A file may have bytes of a dump, or cannot be removed.</exception>
    public static void RemoveLeft(DumpFolder folder, RunningEntry entry, RunningDumps entries)
    {
        string[] left = NamesOf(folder, entry.Name);
        foreach (string name in IsGivenUp(folder, entry.Name) ? [] : left)
        {
            if (!name.EndsWith(DumpFile.LedgerSuffix, StringComparison.Ordinal) && Posix.TimesOf(folder.Handle, name) is { LengthBytes: > 0 })
                throw new StorageException($"{folder.PathOf(name)}: its ledger does not say whose dump it is; look at it, and remove it and the ledgers beside it");
        }

        foreach (string name in left)
        {
            if (Posix.Unlink(folder.Handle, name) is not (0 or Errno.ENOENT) and var errno)
                throw new StorageException($"{folder.PathOf(name)}: cannot be removed: {Errno.Words(errno)}");
        }

        entries.Remove(entry.Key);
    }

    /// <summary>The first owner's ledger has the next one's name: of what it stored nothing was acked.</summary>
    private static bool IsGivenUp(DumpFolder folder, string name)
    {
        string next = SegmentName.LedgerOf(name, 2);
        using var ledger = OwnerChain.Open(folder, next);
        return ledger is not null && LedgerFile.Read(ledger, folder.PathOf(next)).Records.OfType<LedgerRecord.Owner>().FirstOrDefault() is { Epoch: 1 };
    }

    /// <summary>The newest change of any file of the dump, whatever else is missing; null where none is there.</summary>
    public static DateTimeOffset? NewestChangeOfAny(DumpFolder folder, string name) =>
        NamesOf(folder, name).Max(its => Posix.TimesOf(folder.Handle, its)?.ModifiedAt);

    private static string[] NamesOf(DumpFolder folder, string name)
    {
        var names = Posix.NamesIn(folder.Handle, name) ?? throw new StorageException($"{folder.PathOf("")}: {Errno.Words(Errno.Last)}");
        return [.. names.Where(its => its == name || its == name + DumpFile.LedgerSuffix || SegmentName.IsOfLaterOwner(its)).Order(StringComparer.Ordinal)];
    }

    private static void RemoveDrafts(DumpFolder folder, string name, CommitMarker marker)
    {
        // One that stays costs a little space and means nothing.
        foreach (string draft in Posix.NamesIn(folder.Handle, ".") ?? [])
        {
            if (AtomicFile.TargetOf(draft) is string target
                && (target == marker.Names.Manifest || target == marker.Names.Info || target == marker.Names.Key || target.StartsWith($"{name}.", StringComparison.Ordinal)))
                _ = Posix.Unlink(folder.Handle, draft);
        }
    }
}
