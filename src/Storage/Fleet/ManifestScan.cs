using System.Security.Cryptography;
using System.Text;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>Finds out which ended dumps of a directory are new, changed or gone since the look before. Not thread-safe; may block on the device.</summary>
/// <remarks>
/// Whoever changed them: this server, a command of the operator, another node that shares the directory. Only manifests whose length or time changed are read. While a part of the directory cannot
/// be read nothing counts as gone.
/// </remarks>
public sealed class ManifestScan(string root)
{
    /// <summary>Ranges of each list that are told of; the manifest's own file has them all.</summary>
    public const int MaxRanges = 100;

    /// <summary>A manifest that takes more has lists of ranges that are cut.</summary>
    private const int MaxJsonBytes = 64 << 10;

    private const int DigestChars = 32;

    private readonly string _root = Path.GetFullPath(root);
    private Dictionary<string, Seen> _seen = new(StringComparer.Ordinal);
    private Dictionary<string, string> _paths = [];

    private readonly record struct Seen(DateTime ChangedAt, long Length, string? DumpId, string Digest);

    /// <summary>What the look found.</summary>
    /// <param name="Changes">Dumps that are new, changed or gone.</param>
    /// <param name="Problems">Manifests and directories that cannot be read, in words.</param>
    public sealed record Result(IReadOnlyList<OutboxEntry> Changes, IReadOnlyList<string> Problems);

    /// <summary>All directories could be read at the last look, so that what was not found is not there.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>Digests of the dumps that were there at the last look, by id.</summary>
    public IReadOnlyDictionary<string, string> Digests() => _paths.ToDictionary(dump => dump.Key, dump => _seen[dump.Value].Digest);

    /// <summary>How a dump that was there at the last look is now; null where it is not there, or cannot be read.</summary>
    public LocatedManifest? Describe(string dumpId)
    {
        if (!_paths.TryGetValue(dumpId, out string? path))
            return null;
        try
        {
            return Locate(path, ManifestFile.Read(path));
        }
        catch (StorageException)
        {
            // The next look says what is wrong with it.
            return null;
        }
    }

    /// <summary>Looks at the directory.</summary>
    /// <exception cref="StorageException">The directory itself cannot be read.</exception>
    public Result Look()
    {
        var problems = new List<string>();
        var (found, unreadable) = DumpCatalog.ManifestsOf(_root);
        problems.AddRange(unreadable.Select(problem => $"{problem.Path}: {problem.Reason}"));
        var changes = new List<OutboxEntry>();
        var seen = new Dictionary<string, Seen>(found.Count, StringComparer.Ordinal);
        foreach (var (path, changedAt, length) in found)
        {
            if (!_seen.TryGetValue(path, out var known) || known.ChangedAt != changedAt || known.Length != length)
                known = Read(path, changedAt, length, changes, problems);
            seen[path] = known;
        }

        var there = seen.Values.Select(one => one.DumpId).ToHashSet();
        foreach (var (path, gone) in _seen)
        {
            if (seen.ContainsKey(path) || gone.DumpId is null || there.Contains(gone.DumpId))
                continue;
            if (unreadable.Count > 0)
                seen[path] = gone;
            else
                changes.Add(new(gone.DumpId, null));
        }

        IsWhole = unreadable.Count == 0;
        _seen = seen;
        _paths = [];
        foreach (var (path, one) in seen)
        {
            if (one.DumpId is string id)
                _paths[id] = path;
        }

        return new(changes, problems);
    }

    private Seen Read(string path, DateTime changedAt, long length, List<OutboxEntry> changes, List<string> problems)
    {
        try
        {
            var manifest = ManifestFile.Read(path);
            var dump = Locate(path, manifest);
            changes.Add(new(manifest.Id, dump));
            return new(changedAt, length, manifest.Id, dump.Digest);
        }
        catch (StorageException e)
        {
            // One that is deleted at this moment is found to be gone by the next look.
            if (File.Exists(path))
                problems.Add(e.Message);
            return new(changedAt, length, null, "");
        }
    }

    private LocatedManifest Locate(string path, Manifest manifest)
    {
        byte[] json = ManifestWriter.ToUtf8(manifest);
        string digest = Convert.ToHexStringLower(SHA256.HashData(json))[..DigestChars];
        if (json.Length > MaxJsonBytes)
            json = ManifestWriter.ToUtf8(Shorten(manifest));
        return new(Path.GetRelativePath(_root, Path.Join(Path.GetDirectoryName(path), manifest.Files.Vmcore)), Encoding.UTF8.GetString(json), digest);
    }

    private static Manifest Shorten(Manifest manifest) => manifest with
    {
        Missing = [.. manifest.Missing.Take(MaxRanges)],
        Damaged = [.. manifest.Damaged.Take(MaxRanges)],
        Overwritten = [.. manifest.Overwritten.Take(MaxRanges)],
        Unverified = [.. manifest.Unverified.Take(MaxRanges)],
    };
}
