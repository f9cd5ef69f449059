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
    /// No existing file is replaced except bounds and the <c>.last</c> links, which are conveniences: where they cannot be written <see cref="CommittedDump.PointerProblem"/> says so.
    /// What fails may be tried again: the data is a partial file as before, or becomes one when the next attempt begins. Only data that is not durable, or not all there, gets its final name at once,
    /// described as a write error, because no later attempt can make it whole: <see cref="StorageException.Kept"/>.
    /// </remarks>
    /// <exception cref="StorageException">Something could not be written; the message names it.</exception>
    /// <exception cref="ArgumentException">The summary claims completeness and contradicts itself.</exception>
    /// <exception cref="SupersededException">The dump is shared, and another node has it.</exception>
    /// <param name="file">The dump.</param>
    /// <param name="summary">What it came to.</param>
    /// <param name="circumstances">Its circumstances.</param>
    /// <param name="onPromised">Called once where a shared dump is whole, as soon as any node would bring the commit to its end: FINISHED may be acked. What still fails then is tried again with this method.</param>
    public CommittedDump Commit(DumpFile file, DumpSummary summary, DumpCircumstances circumstances, Action? onPromised = null)
    {
        Check(summary);
        if (file.IsShared)
            return CommitShared(file, summary, circumstances, onPromised);
        if (file.Attempt is { IsTakenBack: false } unfinished && TakeBack(file, unfinished) is string left)
            throw new StorageException(left);
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
            summary = failure is null ? summary : Failed(summary, e.Message);
        }

        CommittedDump committed;
        try
        {
            var attempt = Claim(file, summary, HostFileName.From(circumstances.Host));
            committed = Describe(file, attempt, summary, circumstances);
        }
        catch (StorageException e)
        {
            // Where that fails as well, the next attempt begins with it.
            if (file.Attempt is { IsTakenBack: false } attempt)
                _ = TakeBack(file, attempt);
            throw new StorageException((failure ?? e).Message, e);
        }

        if (failure is not null)
            throw new StorageException(failure.Message, failure) { Kept = committed };

        // It may be acked from now on, and whatever fails later must not take it back.
        file.Attempt = null;
        // The ledger stays: the client's FINISHED is answered from it, also by the next process, until it lingers no more.
        return committed;
    }

    /// <summary>Ends a dump that could not be committed: as <see cref="Commit"/>, described as a write error.</summary>
    /// <param name="file">The dump.</param>
    /// <param name="summary">What it came to before.</param>
    /// <param name="circumstances">Its circumstances.</param>
    /// <param name="error">Why it could not be committed, in words.</param>
    /// <exception cref="StorageException">Nor can it be described; the data is where it was.</exception>
    public CommittedDump CommitAsFailed(DumpFile file, DumpSummary summary, DumpCircumstances circumstances, string error) =>
        Commit(file, Failed(summary, error), circumstances);

    private static void Check(DumpSummary summary)
    {
        if (summary.Status == DumpStatus.Complete && (summary.Reason == EndReason.WriteError || summary.Header is not { IsValid: true }
            || summary.MissingBytes != 0 || summary.CoveredBytes < summary.LengthBytes))
            throw new ArgumentException($"A dump that lacks bytes or a header was called complete: {summary}", nameof(summary));
    }

    private static DumpSummary Failed(DumpSummary summary, string error) =>
        summary with { Status = DumpStatus.Incomplete, Reason = EndReason.WriteError, Error = error };

    /// <summary>Gives the data file the next free index of its host; from then on that index is this dump's.</summary>
    private CommitAttempt Claim(DumpFile file, DumpSummary summary, string host)
    {
        var folder = file.Folder;
        long first = ReadBounds(folder, host);
        // Bounds may have moved on for an attempt that was taken back.
        if (file.Attempt?.Names is { } earlier && earlier.Host == host)
            first = Math.Min(first, earlier.Index);
        for (long index = first; ; index++)
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
                    return file.Attempt = new(names);
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

    /// <summary>Writes everything about the dump but the data, the manifest last, and makes the names durable.</summary>
    /// <remarks>Contents are written and synced together, because each sync that finds something new costs a journal commit, for which other dumps' writes may have to wait.</remarks>
    private CommittedDump Describe(DumpFile file, CommitAttempt attempt, DumpSummary summary, DumpCircumstances circumstances)
    {
        var folder = file.Folder;
        var names = attempt.Names;
        using var key = summary.Key is { IsEmpty: false } bytes ? AtomicFile.Draft(folder.Handle, names.Key, bytes.Span, Posix.KeyMode) : null;
        using var info = DraftInfo(file, names, summary);
        var manifest = Manifest.Of(file.Identity, names, summary, circumstances, file.ReadLength());
        using var description = ManifestFile.Draft(folder.Handle, names.Manifest, manifest);
        key?.Sync();
        info.Sync();
        description.Sync();
        key?.Publish(replace: false);
        if (key is not null)
            attempt.Described.Add(names.Key);
        info.Publish(replace: false);
        attempt.Described.Add(names.Info);
        string? pointerProblem = PointToNewest(folder, file.Device, names);
        // A manifest must not outlive a crash that takes back the names it tells of.
        SyncNames(folder);
        description.Publish(replace: false);
        attempt.HasManifest = true;
        SyncNames(folder);
        return new(file.Identity.Id, folder.PathOf(names.Manifest), folder.RelativePathOf(names.Info), folder.RelativePathOf(names.Core), manifest) { PointerProblem = pointerProblem };
    }

    /// <summary>Makes the data a partial file again: there may be space, or another index, at the next attempt.</summary>
    /// <returns>Why it could not, or null.</returns>
    private static string? TakeBack(DumpFile file, CommitAttempt attempt)
    {
        string? error = TakeBack(file.Folder, attempt.HasManifest ? attempt.Names.Manifest : null, attempt.Described, attempt.Names.Core, file.Name);
        attempt.IsTakenBack = error is null;
        return error;
    }

    /// <summary>Removes what describes a dump whose commit did not come to its end, and gives its data their first name back, so that it can begin anew.</summary>
    /// <param name="folder">Its directory.</param>
    /// <param name="manifest">The name of its manifest, which goes first, durably: no crash must leave it without the data. Null where it has none.</param>
    /// <param name="described">The names of the other files that describe it. What is missing is no error.</param>
    /// <param name="core">The name of the data, which goes last: as long as it is there nobody else begins to use the index. Null where it has gone already.</param>
    /// <param name="partial">The name that the data gets.</param>
    /// <returns>Why it could not be done, or null.</returns>
    private static string? TakeBack(DumpFolder folder, string? manifest, IEnumerable<string> described, string? core, string partial)
    {
        if (manifest is not null)
        {
            if (Remove(manifest) is string problem)
                return problem;
            if (Posix.SyncDirectory(folder.Handle) is not 0 and var syncError)
                return $"{NotDurable(folder, syncError)}, so that the commit of {partial} cannot begin anew";
        }

        foreach (string name in described)
        {
            if (Remove(name) is string problem)
                return problem;
        }

        return core is not null && Posix.RenameWithoutReplacing(folder.Handle, core, partial) is not (0 or Errno.ENOENT) and var renameError
            ? $"{folder.PathOf(core)}: cannot be renamed back to {partial}, so that its commit can begin anew: {Errno.Words(renameError)}"
            : null;

        string? Remove(string name) => Posix.Unlink(folder.Handle, name) is not (0 or Errno.ENOENT) and var errno
            ? $"{folder.PathOf(name)}: cannot be removed, so that the commit of {partial} can begin anew: {Errno.Words(errno)}"
            : null;
    }

    private static AtomicFile DraftInfo(DumpFile file, CoreNames names, DumpSummary summary) =>
        AtomicFile.Draft(file.Folder.Handle, names.Info, InfoTextOf(file, names, summary), Posix.FileMode);

    private static byte[] InfoTextOf(DumpFile file, CoreNames names, DumpSummary summary) =>
        Encoding.UTF8.GetBytes(InfoFile.Text(summary, names.Host, file.Identity.Client, names.Manifest, TimeZoneInfo.Local));

    private static void SyncNames(DumpFolder folder)
    {
        if (Posix.SyncDirectory(folder.Handle) is not 0 and var errno)
            throw new StorageException(NotDurable(folder, errno));
    }

    private static string NotDurable(DumpFolder folder, int errno) => $"directory {folder.PathOf("")}: not durable, fsync failed: {Errno.Words(errno)}";

    /// <summary>Moves bounds and the <c>.last</c> links on, unless a newer dump of the host has been faster.</summary>
    /// <returns>Which of them could not be moved, and why; null when all were.</returns>
    private string? PointToNewest(DumpFolder folder, ulong device, CoreNames names)
    {
        var problems = new List<string>();
        lock (NamingOf(device, names.Host))
        {
            // Its own index is in there already when an attempt was taken back.
            if (ReadBounds(folder, names.Host) > names.Index + 1)
                return null;

            Try(() => WriteBounds(folder, names.Host, names.Index + 1));
            Try(() => AtomicFile.Link(folder.Handle, names.CoreLink, names.Core));
            Try(() => AtomicFile.Link(folder.Handle, names.InfoLink, names.Info));
        }

        return problems.Count == 0 ? null : string.Join("; ", problems);

        // The dump is found without them.
        void Try(Action move)
        {
            try
            {
                move();
            }
            catch (StorageException e)
            {
                problems.Add(e.Message);
            }
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
