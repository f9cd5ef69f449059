using System.IO.Enumeration;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>What lies in a dump directory and the directories beneath it, at one moment.</summary>
/// <remarks>Links are not followed, so nothing outside is read. Broken files are listed as problems, they stop nothing.</remarks>
public sealed class DumpCatalog
{
    private DumpCatalog(string root, List<CatalogedDump> dumps, List<PartialDump> partials, List<CatalogProblem> problems)
    {
        Root = root;
        Dumps = [.. dumps.OrderBy(dump => dump.Manifest.StartedAt).ThenBy(dump => dump.Manifest.Id, StringComparer.Ordinal)];
        Partials = [.. partials.OrderBy(partial => partial.Path, StringComparer.Ordinal)];
        Problems = [.. problems.OrderBy(problem => problem.Path, StringComparer.Ordinal)];
    }

    public string Root { get; }

    /// <summary>Ended dumps, the oldest first.</summary>
    public IReadOnlyList<CatalogedDump> Dumps { get; }

    public IReadOnlyList<PartialDump> Partials { get; }

    public IReadOnlyList<CatalogProblem> Problems { get; }

    /// <summary>Reads every manifest and ledger beneath <paramref name="root"/>.</summary>
    /// <exception cref="StorageException">The directory itself cannot be read.</exception>
    public static DumpCatalog Read(string root)
    {
        root = Path.GetFullPath(root);
        var dumps = new List<CatalogedDump>();
        var partials = new List<PartialDump>();
        var problems = new List<CatalogProblem>();
        var pending = new Stack<string>([root]);
        while (pending.TryPop(out string? directory))
        {
            try
            {
                foreach (var (path, isDirectory) in Entries(directory))
                {
                    if (isDirectory)
                        pending.Push(path);
                    else
                        ReadEntry(path, dumps, partials, problems);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (directory == root)
                    throw new StorageException($"dump directory {root} cannot be read: {e.Message}", e);
                problems.Add(new(directory, e.Message));
            }
        }

        return new(root, dumps, partials, problems);
    }

    /// <summary>
    /// What processes left beneath <paramref name="top"/>, but not beneath others of <paramref name="tops"/>: paths of all ledgers, and of drafts (<see cref="AtomicFile"/>) by the path that each
    /// was to get. Directories that cannot be read are told of.
    /// </summary>
    /// <exception cref="StorageException">The dump directory <paramref name="root"/> itself cannot be read.</exception>
    internal static (List<string> Ledgers, ILookup<string, string> Drafts) LeftBeneath(string root, string top, HashSet<string> tops, Action<string> onProblem)
    {
        var ledgers = new List<string>();
        var drafts = new List<(string Target, string Path)>();
        var pending = new Stack<string>([top]);
        while (pending.TryPop(out string? directory))
        {
            try
            {
                int ledgersBefore = ledgers.Count;
                foreach (var (path, isDirectory) in Entries(directory))
                {
                    if (isDirectory && !tops.Contains(path))
                        pending.Push(path);
                    else if (!isDirectory && path.EndsWith(DumpFile.LedgerSuffix, StringComparison.Ordinal) && Path.GetFileName(path).StartsWith(DumpFile.NamePrefix, StringComparison.Ordinal)
                        && !SegmentName.IsOfLaterOwner(Path.GetFileName(path)))
                        ledgers.Add(path);
                }

                if (ledgers.Count > ledgersBefore)
                    drafts.AddRange(Drafts(directory).Select(draft => (Path.Join(directory, draft.Target), draft.Path)));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (directory == root)
                    throw new StorageException($"dump directory {root} cannot be read: {e.Message}", e);
                onProblem($"{directory}: {e.Message}");
            }
        }

        return (ledgers, drafts.ToLookup(draft => draft.Target, draft => draft.Path, StringComparer.Ordinal));
    }

    /// <summary>The manifests beneath <paramref name="root"/>, by name, with when each was last written and its length; none is opened.</summary>
    /// <exception cref="StorageException">The directory itself cannot be read.</exception>
    internal static (List<(string Path, DateTime ChangedAt, long Length)> Manifests, List<CatalogProblem> Problems) ManifestsOf(string root)
    {
        var manifests = new List<(string Path, DateTime ChangedAt, long Length)>();
        var problems = new List<CatalogProblem>();
        var pending = new Stack<string>([root]);
        while (pending.TryPop(out string? directory))
        {
            try
            {
                foreach (var (path, isDirectory) in Entries(directory))
                {
                    if (isDirectory)
                        pending.Push(path);
                    else if (IsManifest(Path.GetFileName(path.AsSpan())) && new FileInfo(path) is { Exists: true } file)
                        manifests.Add((path, file.LastWriteTimeUtc, file.Length));
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (directory == root)
                    throw new StorageException($"dump directory {root} cannot be read: {e.Message}", e);
                problems.Add(new(directory, e.Message));
            }
        }

        return (manifests, problems);
    }

    /// <summary>The dumps that <paramref name="key"/> may mean: a whole id, else <c>HOST.N</c>, else the start of an id. More than one is for the user to decide.</summary>
    public IReadOnlyList<CatalogedDump> Find(string key)
    {
        if (key.Length == 0)
            return [];

        foreach (var matches in (ReadOnlySpan<Func<CatalogedDump, bool>>)[
            dump => dump.Manifest.Id == key,
            dump => dump.Name == key,
            dump => dump.Manifest.Id.StartsWith(key, StringComparison.Ordinal)])
        {
            CatalogedDump[] found = [.. Dumps.Where(matches)];
            if (found.Length > 0)
                return found;
        }

        return [];
    }

    private static FileSystemEnumerable<(string Path, bool IsDirectory)> Entries(string directory) => new(
        directory,
        (ref FileSystemEntry entry) => (entry.ToFullPath(), entry.IsDirectory),
        new EnumerationOptions { AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = false, MatchType = MatchType.Simple })
    {
        // Temporary files of writers start with a dot; directories may, because heralds name them.
        ShouldIncludePredicate = (ref FileSystemEntry entry) => entry.IsDirectory ? !TrialDirectory.IsTrial(entry.FileName) : !entry.FileName.StartsWith('.'),
    };

    /// <summary>Drafts, of links too, with what each was to be called. It is not asked what kind of file they are: beside them may be a directory where a file system hangs.</summary>
    private static FileSystemEnumerable<(string? Target, string Path)> Drafts(string directory) => new(
        directory,
        (ref FileSystemEntry entry) => (AtomicFile.TargetOf(entry.FileName), entry.ToFullPath()),
        new EnumerationOptions { AttributesToSkip = 0, IgnoreInaccessible = false, MatchType = MatchType.Simple })
    {
        ShouldIncludePredicate = (ref FileSystemEntry entry) => AtomicFile.TargetOf(entry.FileName) is not null,
    };

    private static bool IsManifest(ReadOnlySpan<char> name) => name.StartsWith("dump.", StringComparison.Ordinal) && name.EndsWith(".json", StringComparison.Ordinal);

    private static void ReadEntry(string path, List<CatalogedDump> dumps, List<PartialDump> partials, List<CatalogProblem> problems)
    {
        string name = Path.GetFileName(path);
        try
        {
            if (IsManifest(name))
                dumps.Add(new(path, ManifestFile.Read(path)));
            else if (!name.StartsWith(DumpFile.NamePrefix, StringComparison.Ordinal) || SegmentName.IsOfLaterOwner(name))
                return;
            else if (!name.EndsWith(DumpFile.LedgerSuffix, StringComparison.Ordinal))
                partials.Add(ReadPartial(path));
            else if (!File.Exists(path[..^DumpFile.LedgerSuffix.Length]) && File.Exists(path) && !IsLocked(path) && !IsDescribed(path))
                problems.Add(new(path, "ledger without a data file: its dump was being finished, look for a vmcore without a manifest"));
        }
        catch (StorageException e)
        {
            // A dump that ends while this looks takes its partial name away.
            if (File.Exists(path))
                problems.Add(new(path, e.Message));
        }
    }

    /// <summary>The ledger's dump ended well; it only kept the answer to a repeated FINISHED. Of one that nodes share, the node that removes what is left knows.</summary>
    private static bool IsDescribed(string ledgerPath)
    {
        var records = LedgerFile.Read(ledgerPath).Records;
        return records.Any(record => record is LedgerRecord.Owner)
            || (records.OfType<LedgerRecord.Committing>().LastOrDefault() is { } committing && File.Exists(Path.Join(Path.GetDirectoryName(ledgerPath), committing.Manifest)));
    }

    private static PartialDump ReadPartial(string path)
    {
        string ledgerPath = path + DumpFile.LedgerSuffix;
        LedgerContents? ledger = null;
        if (File.Exists(ledgerPath))
            ledger = LedgerFile.Read(ledgerPath);
        return new(path, ledger?.Opened, ledger?.Records.Any(record => record is LedgerRecord.Kdh) ?? false, LengthOf(path), IsLocked(ledgerPath) || IsRunningElsewhere(path, ledger));
    }

    /// <summary>A later owner of a dump that nodes share holds its lock, as far as the file system tells other machines of locks.</summary>
    private static bool IsRunningElsewhere(string path, LedgerContents? ledger)
    {
        if (ledger is null || !ledger.Records.Any(record => record is LedgerRecord.Owner))
            return false;
        for (int epoch = 2; File.Exists(SegmentName.LedgerOf(path, epoch)); epoch++)
        {
            if (IsLocked(SegmentName.LedgerOf(path, epoch)))
                return true;
        }

        return false;
    }

    private static long LengthOf(string path)
    {
        var file = new FileInfo(path);
        return file.Exists ? file.Length : 0;
    }

    /// <summary>The dump's server holds the lock.</summary>
    private static bool IsLocked(string ledgerPath)
    {
        using var ledger = Posix.Open(ledgerPath, Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
        return ledger is not null && Posix.IsLocked(ledger);
    }
}
