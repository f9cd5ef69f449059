using System.IO.Enumeration;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage;

/// <summary>Deletes ended dumps so that a crash leaves nothing that says more than is there, and nothing that takes room unnoticed.</summary>
/// <remarks>
/// A ledger that is still there goes first. Then the manifest is renamed, to a name that no catalogue reads: with it the dump is gone. The <c>.last</c> links move to the newest dump left, the info file goes. Only when these are durable do key and data go,
/// and the renamed manifest only when that is durable too. So a manifest or an info file that says complete always has its data, and what a crash leaves of a deletion is found by
/// the renamed manifest and finished (<see cref="FinishInterrupted"/>). A rename needs no space, so it works on a full disk.
/// </remarks>
public sealed class DumpRemoval
{
    /// <summary>What a deletion does to names, in this order.</summary>
    internal enum Step
    {
        RemoveLedger,
        HideManifest,
        MoveLinks,
        RemoveInfo,
        SyncDescriptions,
        RemoveKey,
        RemoveCore,
        SyncContents,
        RemoveHidden,
    }

    private readonly SafeFileHandle _directory;
    private readonly string _directoryPath;
    private readonly string _name;
    private readonly Manifest _manifest;

    private DumpRemoval(SafeFileHandle directory, string manifestPath, Manifest manifest)
    {
        _directory = directory;
        _directoryPath = Path.GetDirectoryName(manifestPath)!;
        _name = Path.GetFileName(manifestPath);
        _manifest = manifest;
    }

    /// <summary>Deletes a dump and all its files whatever keeps it; it is durable when this returns.</summary>
    /// <returns>False when it is gone already.</returns>
    /// <exception cref="StorageException">As for <see cref="Remove(CatalogedDump, Func{Manifest, bool})"/>.</exception>
    public static bool Remove(CatalogedDump dump) => Remove(dump, static _ => true);

    /// <summary>Deletes a dump and all its files; it is durable when this returns.</summary>
    /// <param name="dump">The dump.</param>
    /// <param name="mayGo">Asked once nobody else can change it, with its manifest of then.</param>
    /// <returns>False when it stays, or is gone already.</returns>
    /// <exception cref="StorageException">Something could not be deleted; the dump is listed as before, or the next <see cref="FinishInterrupted"/> deletes the rest.</exception>
    public static bool Remove(CatalogedDump dump, Func<Manifest, bool> mayGo)
    {
        using var directory = ManifestFile.LockDirectoryOf(dump.ManifestPath);
        if (!File.Exists(dump.ManifestPath))
            return false;
        var manifest = ManifestFile.Read(dump.ManifestPath);
        if (manifest.Id != dump.Manifest.Id || !mayGo(manifest))
            return false;

        var removal = new DumpRemoval(directory, dump.ManifestPath, manifest);
        foreach (var step in Enum.GetValues<Step>())
            removal.Do(step);
        return true;
    }

    /// <summary>Deletes what deletions that did not come to their end have left beneath <paramref name="root"/>.</summary>
    /// <param name="root">The dump directory.</param>
    /// <param name="onProblem">Told, in words, of what cannot be finished.</param>
    /// <returns>How many were finished.</returns>
    public static int FinishInterrupted(string root, Action<string> onProblem)
    {
        int finished = 0;
        foreach (string hidden in HiddenBeneath(root, onProblem))
        {
            try
            {
                string manifestPath = hidden[..^CoreNames.HiddenSuffix.Length];
                using var directory = ManifestFile.LockDirectoryOf(manifestPath);
                if (!File.Exists(hidden))
                    continue;
                var removal = new DumpRemoval(directory, manifestPath, ManifestFile.Read(hidden));
                // Where the manifest is there as well its files are a later dump's.
                foreach (var step in Enum.GetValues<Step>().Where(step => step == Step.RemoveHidden || (step > Step.HideManifest && !File.Exists(manifestPath))))
                    removal.Do(step);
                finished++;
            }
            catch (StorageException e)
            {
                onProblem($"{hidden}: the deletion of this dump cannot be finished: {e.Message}");
            }
        }

        return finished;
    }

    /// <summary>Begins the deletion of a dump for tests, which do its steps as a crash would leave them done.</summary>
    internal static DumpRemoval Begin(CatalogedDump dump, SafeFileHandle directory) => new(directory, dump.ManifestPath, dump.Manifest);

    /// <summary>The ledger of a dump whose client may still be answered.</summary>
    internal static string LedgerOf(Manifest manifest) => $"{DumpFile.NamePrefix}{manifest.Client}.{manifest.Id}{DumpFile.LedgerSuffix}";

    internal void Do(Step step)
    {
        switch (step)
        {
            case Step.RemoveLedger when Posix.KindOf(_directory, LedgerOf(_manifest)) != NameKind.Missing:
                // Durably: from a ledger without a manifest the next start would begin the dump anew.
                Unlink(LedgerOf(_manifest));
                Check(_directoryPath, Posix.SyncDirectory(_directory));
                break;
            case Step.HideManifest:
                Check(_name, Posix.Rename(_directory, _name, _name + CoreNames.HiddenSuffix));
                break;
            case Step.MoveLinks:
                MoveLinks();
                break;
            case Step.RemoveInfo:
                Unlink(_manifest.Files.Info);
                Unlink(UploadState.NameOf(_manifest));
                break;
            case Step.RemoveKey when _manifest.Files.Key is string key:
                Unlink(key);
                break;
            case Step.RemoveCore:
                Unlink(_manifest.Files.Vmcore);
                break;
            case Step.SyncDescriptions or Step.SyncContents:
                Check(_directoryPath, Posix.SyncDirectory(_directory));
                break;
            case Step.RemoveHidden:
                Unlink(_name + CoreNames.HiddenSuffix);
                break;
        }
    }

    /// <summary>Has the links that lead to this dump lead to the newest one left, or removes them.</summary>
    /// <remarks>A commit points them to its dump after that has its names; looking again after each change makes sure that an older target does not stay.</remarks>
    private void MoveLinks()
    {
        var (coreLink, infoLink) = CoreNames.LinksOf(_manifest.Host);
        if (TargetOf(coreLink) != _manifest.Files.Vmcore && TargetOf(infoLink) != _manifest.Files.Info)
            return;

        (string Core, string Info)? pointedTo = null;
        for (bool isFirst = true; ; isFirst = false)
        {
            var newest = NewestLeft();
            if (newest == pointedTo && !isFirst)
                return;
            Point(coreLink, newest?.Core);
            Point(infoLink, newest?.Info);
            pointedTo = newest;
        }
    }

    private void Point(string link, string? target)
    {
        if (target is not null)
        {
            try
            {
                AtomicFile.Link(_directory, link, target);
                return;
            }
            catch (StorageException)
            {
                // A full disk has no room for a link; none is better than one that leads nowhere.
            }
        }

        if (Posix.KindOf(_directory, link) == NameKind.Link)
            Unlink(link);
    }

    private string? TargetOf(string link)
    {
        try
        {
            return new FileInfo(Path.Join(_directoryPath, link)).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Core and info file of the host's dump with the highest index, this one left out.</summary>
    private (string Core, string Info)? NewestLeft()
    {
        (long Index, string Core)? newest = null;
        try
        {
            foreach (string path in Directory.EnumerateFiles(_directoryPath, "vmcore*"))
            {
                string name = Path.GetFileName(path);
                if (name != _manifest.Files.Vmcore && CoreNames.IndexOf(name, _manifest.Host) is long index && index > (newest?.Index ?? -1)
                    && Posix.KindOf(_directory, CoreNames.InfoOf(_manifest.Host, index)) == NameKind.Other)
                    newest = (index, name);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"directory {_directoryPath}: {e.Message}", e);
        }

        return newest is { } found ? (found.Core, CoreNames.InfoOf(_manifest.Host, found.Index)) : null;
    }

    private void Unlink(string name)
    {
        if (Posix.Unlink(_directory, name) is not 0 and var errno && errno != Errno.ENOENT)
            Check(name, errno);
    }

    private void Check(string name, int errno)
    {
        if (errno != 0)
            throw new StorageException($"{Path.Join(_directoryPath, name)}: cannot be deleted: {Errno.Words(errno)}");
    }

    private static IReadOnlyList<string> HiddenBeneath(string root, Action<string> onProblem)
    {
        try
        {
            return [.. new FileSystemEnumerable<string>(root, (ref FileSystemEntry entry) => entry.ToFullPath(),
                new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true, MatchType = MatchType.Simple })
            {
                ShouldIncludePredicate = (ref FileSystemEntry entry) => !entry.IsDirectory && entry.FileName.StartsWith("dump.") && entry.FileName.EndsWith(CoreNames.HiddenSuffix),
            }];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            onProblem($"dump directory {root} cannot be read: {e.Message}");
            return [];
        }
    }
}
