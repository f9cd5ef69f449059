using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    private const int NamingLocks = 64;

    /// <summary>Held while an index is chosen or bounds and links move, never while bulk data is synced; picked by host, so that hosts rarely wait for each other, and by device, so that none waits for a file system that hangs.</summary>
    private readonly ConcurrentDictionary<ulong, Lock[]> _naming = new();

    /// <summary>Ends a dump: makes its bytes durable, gives it its final names and describes it.</summary>
    /// <remarks>
    /// After a crash at any point the next process finds the data and goes on: the data is synced, the ledger notes its new name, durably, it is renamed, then key, info, bounds and links follow, and the manifest comes last.
    /// No existing file is replaced except bounds and the <c>.last</c> links.
    /// On failure the data stays, as the partial file or, where <see cref="StorageException.Kept"/> says so, under its final name described as a write error.
    /// </remarks>
    /// <exception cref="StorageException">Something could not be written; the message names it.</exception>
    /// <exception cref="ArgumentException">The summary claims completeness and contradicts itself.</exception>
    public CommittedDump Commit(DumpFile file, DumpSummary summary, DumpCircumstances circumstances)
    {
        Check(summary);
        StorageException? failure = null;
        try
        {
            // An incomplete dump is cut by policy only: its length is only known from what came.
            file.Settle(summary.Status is DumpStatus.Complete or DumpStatus.Damaged or DumpStatus.Truncated ? checked((long)summary.LengthBytes) : null, summary.KeptBytes);
        }
        catch (StorageException e)
        {
            // A dump that ended by a write error says so already.
            failure = summary.Reason == EndReason.WriteError ? null : e;
            summary = failure is null ? summary : Failed(summary, e);
        }

        CoreNames names;
        try
        {
            names = Claim(file, summary, HostFileName.From(circumstances.Host));
        }
        catch (StorageException e) when (failure is not null)
        {
            throw new StorageException(failure.Message, e);
        }

        var written = new HashSet<string>();
        CommittedDump committed;
        try
        {
            committed = Describe(file, names, summary, circumstances, written);
        }
        catch (StorageException e)
        {
            failure ??= e;
            // An index that somebody else has a file of as well is left to him.
            bool isShared = IsTaken(file.Folder, names.AllOfIndex().Where(name => name != names.Core && !written.Contains(name)));
            var kept = isShared ? null : TryDescribeFailure(file, names, Failed(summary, failure), circumstances, written);
            if (kept is null && !written.Contains(names.Manifest))
                TakeBack(file, names, written);
            throw new StorageException(failure.Message, failure) { Kept = kept };
        }

        if (failure is not null)
            throw new StorageException(failure.Message, failure) { Kept = committed };

        // The ledger stays: the client's FINISHED is answered from it, also by the next process, until it lingers no more.
        return committed;
    }

    private static void Check(DumpSummary summary)
    {
        if (summary.Status == DumpStatus.Complete && (summary.Reason == EndReason.WriteError || summary.Header is not { IsValid: true }
            || summary.MissingBytes != 0 || summary.CoveredBytes < summary.LengthBytes))
            throw new ArgumentException($"A dump that lacks bytes or a header was called complete: {summary}", nameof(summary));
    }

    private static DumpSummary Failed(DumpSummary summary, StorageException e) =>
        summary with { Status = DumpStatus.Incomplete, Reason = EndReason.WriteError, Error = e.Message };

    /// <summary>Gives the data file the next free index of its host; from then on that index is this dump's.</summary>
    private CoreNames Claim(DumpFile file, DumpSummary summary, string host)
    {
        var folder = file.Folder;
        for (long index = ReadBounds(folder, host); ; index++)
        {
            var names = CoreNames.Of(summary, host, index);
            if (IsIndexTaken(folder, names))
                continue;

            // Outside of the lock, because it waits for the device.
            file.NoteCommitting(names);
            lock (NamingOf(file.Device, host))
            {
                // Another dump took it in between.
                if (IsIndexTaken(folder, names))
                    continue;
                int errno = Posix.RenameWithoutReplacing(folder.Handle, file.Name, names.Core);
                if (errno == 0)
                    return names;
                // Another process did.
                if (errno != Errno.EEXIST)
                    throw new StorageException($"{file.PartialPath}: cannot be renamed to {names.Core}: {Errno.Words(errno)}");
            }
        }
    }

    /// <exception cref="StorageException">The file system does not say: with it no index would ever be free.</exception>
    private static bool IsIndexTaken(DumpFolder folder, CoreNames names)
    {
        foreach (string name in names.AllOfIndex())
        {
            var kind = Posix.KindOf(folder.Handle, name);
            // EINVAL: it is there and no link.
            if (kind == NameKind.Other && Errno.Last != Errno.EINVAL)
                throw new StorageException($"{folder.PathOf(name)}: {Errno.Words(Errno.Last)}");
            if (kind != NameKind.Missing)
                return true;
        }

        return false;
    }

    private static bool IsTaken(DumpFolder folder, IEnumerable<string> names) => names.Any(name => Posix.KindOf(folder.Handle, name) != NameKind.Missing);

    /// <summary>Writes everything about the dump but the data, the manifest last, and makes the names durable; <paramref name="written"/> gets the names that stand.</summary>
    /// <remarks>Contents are written and synced together, because each sync that finds something new costs a journal commit, for which other dumps' writes may have to wait.</remarks>
    private CommittedDump Describe(DumpFile file, CoreNames names, DumpSummary summary, DumpCircumstances circumstances, HashSet<string> written)
    {
        var folder = file.Folder;
        using var key = summary.Key is { IsEmpty: false } bytes ? AtomicFile.Draft(folder.Handle, names.Key, bytes.Span, Posix.KeyMode) : null;
        using var info = DraftInfo(file, names, summary);
        var manifest = Manifest.Of(file.Identity, names, summary, circumstances, file.ReadLength());
        using var description = ManifestFile.Draft(folder.Handle, names.Manifest, manifest);
        key?.Sync();
        info.Sync();
        description.Sync();
        key?.Publish(replace: false);
        if (key is not null)
            written.Add(names.Key);
        info.Publish(replace: false);
        written.Add(names.Info);
        PointToNewest(file, names);
        // A manifest must not outlive a crash that takes back the names it tells of.
        SyncNames(folder);
        description.Publish(replace: false);
        written.Add(names.Manifest);
        SyncNames(folder);
        return Committed(file, names, manifest);
    }

    /// <summary>Replaces what <see cref="Describe"/> wrote before it failed by the truth, as far as that can be written. The failure that is reported is the first one.</summary>
    private static CommittedDump? TryDescribeFailure(DumpFile file, CoreNames names, DumpSummary summary, DumpCircumstances circumstances, HashSet<string> written)
    {
        try
        {
            using var info = DraftInfo(file, names, summary);
            info.Sync();
            info.Publish(replace: written.Contains(names.Info));
            written.Add(names.Info);
        }
        catch (StorageException)
        {
            // No info file rather than one that says complete.
            if (written.Remove(names.Info))
                _ = Posix.Unlink(file.Folder.Handle, names.Info);
        }

        try
        {
            var manifest = Manifest.Of(file.Identity, names, summary, circumstances, file.ReadLength());
            using var description = ManifestFile.Draft(file.Folder.Handle, names.Manifest, manifest);
            description.Sync();
            description.Publish(replace: written.Contains(names.Manifest));
            written.Add(names.Manifest);
            SyncNames(file.Folder);
            return Committed(file, names, manifest);
        }
        catch (StorageException)
        {
            return null;
        }
    }

    /// <summary>Makes it a partial file again, because nothing could be written that describes it: there may be space, or another index, at the next attempt.</summary>
    /// <remarks>The data goes last: as long as it has its name nobody else begins to use the index.</remarks>
    private static void TakeBack(DumpFile file, CoreNames names, HashSet<string> written)
    {
        foreach (string name in written)
            _ = Posix.Unlink(file.Folder.Handle, name);
        _ = Posix.RenameWithoutReplacing(file.Folder.Handle, names.Core, file.Name);
    }

    private static AtomicFile DraftInfo(DumpFile file, CoreNames names, DumpSummary summary)
    {
        string text = InfoFile.Text(summary, names.Host, file.Identity.Client, names.Manifest, TimeZoneInfo.Local);
        return AtomicFile.Draft(file.Folder.Handle, names.Info, Encoding.UTF8.GetBytes(text), Posix.FileMode);
    }

    private static CommittedDump Committed(DumpFile file, CoreNames names, Manifest manifest)
    {
        var folder = file.Folder;
        return new(file.Identity.Id, folder.PathOf(names.Manifest), folder.RelativePathOf(names.Info), folder.RelativePathOf(names.Core), manifest);
    }

    private static void SyncNames(DumpFolder folder)
    {
        if (Posix.SyncDirectory(folder.Handle) is not 0 and var errno)
            throw new StorageException($"directory {folder.PathOf("")}: not durable, fsync failed: {Errno.Words(errno)}");
    }

    /// <summary>Moves bounds and the <c>.last</c> links on, unless a newer dump of the host has been faster.</summary>
    private void PointToNewest(DumpFile file, CoreNames names)
    {
        var folder = file.Folder;
        lock (NamingOf(file.Device, names.Host))
        {
            if (ReadBounds(folder, names.Host) > names.Index)
                return;

            WriteBounds(folder, names.Host, names.Index + 1);
            AtomicFile.Link(folder.Handle, names.CoreLink, names.Core);
            AtomicFile.Link(folder.Handle, names.InfoLink, names.Info);
        }
    }

    /// <summary>The index that the bounds file gives, 0 where it is missing or says nothing sensible.</summary>
    private static long ReadBounds(DumpFolder folder, string host)
    {
        // O_NONBLOCK: a FIFO of that name must not stop every dump of the host.
        using var file = Posix.OpenAt(folder.Handle, CoreNames.BoundsOf(host), Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
        if (file is null)
            return 0;

        Span<byte> text = stackalloc byte[32];
        int length = Posix.ReadAt(file, text, 0);
        return int.TryParse(text[..Math.Max(length, 0)].Trim("\r\n \0"u8), NumberStyles.None, CultureInfo.InvariantCulture, out int next) ? next : 0;
    }

    /// <summary>Says where to begin looking for a free index. Only a hint: written in place and not synced, because each new file and each sync costs every other dump of the file system something.</summary>
    private static void WriteBounds(DumpFolder folder, string host, long next)
    {
        string name = CoreNames.BoundsOf(host);
        byte[] text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{next}\n"));
        using (var file = Posix.OpenAt(folder.Handle, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_NOFOLLOW | Posix.O_NONBLOCK, Posix.FileMode))
        {
            if (file is not null && Posix.WriteAt(file, text, 0) == text.Length && Posix.Truncate(file, text.Length) == 0)
            {
                Posix.SetMode(file, Posix.FileMode);
                return;
            }
        }

        // Whatever has the name is no file that can be written.
        using var bounds = AtomicFile.Draft(folder.Handle, name, text, Posix.FileMode);
        bounds.Publish(replace: true);
    }

    /// <summary>The lock for the names of one host on one file system; some hosts share one.</summary>
    internal Lock NamingOf(ulong device, string host)
    {
        var locks = _naming.GetOrAdd(device, static _ => [.. Enumerable.Range(0, NamingLocks).Select(static _ => new Lock())]);
        return locks[(uint)host.GetHashCode(StringComparison.Ordinal) % (uint)locks.Length];
    }
}
