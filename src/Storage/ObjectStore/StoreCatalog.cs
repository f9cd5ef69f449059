namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>The dumps that a store has: those with a manifest there, as it is written last.</summary>
public sealed class StoreCatalog(IObjectStore store, StoreLocation location)
{
    private const string ManifestSuffix = "/" + StoreObjects.Manifest;

    /// <summary>A whole id is 16 characters of time, a dash and eight of chance; the first eight are the day.</summary>
    private const int DayChars = 8;

    /// <summary>Reads every manifest.</summary>
    /// <param name="onProblem">Told, in words, of what is none.</param>
    /// <param name="onRead">Told after each how many have been read.</param>
    /// <exception cref="ObjectStoreException">The store does not answer.</exception>
    public IReadOnlyList<Manifest> List(Action<string> onProblem, Action<int>? onRead = null)
    {
        var dumps = new List<Manifest>();
        foreach (string key in store.Keys(location.Prefix).Where(key => key.EndsWith(ManifestSuffix, StringComparison.Ordinal)))
        {
            if (TryRead(key, onProblem) is { } manifest)
                dumps.Add(manifest);
            onRead?.Invoke(dumps.Count);
        }

        return [.. dumps.OrderBy(dump => dump.StartedAt).ThenBy(dump => dump.Id, StringComparer.Ordinal)];
    }

    /// <summary>The dumps that <paramref name="key"/> may mean: a dump's address in the store, its id, or the start of one with the day at least.</summary>
    /// <exception cref="StorageException">It can mean none.</exception>
    /// <exception cref="ObjectStoreException">The store does not answer.</exception>
    public IReadOnlyList<Manifest> Find(string key, Action<string> onProblem)
    {
        string start = location.UrlOf("");
        if (key.StartsWith(start, StringComparison.Ordinal))
        {
            string folder = key[start.Length..].TrimEnd('/');
            return TryRead((folder.EndsWith(ManifestSuffix, StringComparison.Ordinal) ? folder[..^ManifestSuffix.Length] : folder) + ManifestSuffix, onProblem) is { } found ? [found] : [];
        }

        if (key.Length < DayChars || !key[..DayChars].All(char.IsAsciiDigit))
            throw new StorageException($"\"{key}\" is neither the id of a dump, which begins with its day such as 20261121, nor an address beneath {location}; 'dumps list --store' shows those there are");
        string day = $"{location.Prefix}{key[..4]}/{key[4..6]}/{key[6..8]}/";
        return [.. store.Keys(day).Where(found => found.EndsWith(ManifestSuffix, StringComparison.Ordinal) && IdOf(found).StartsWith(key, StringComparison.Ordinal))
            .Select(found => TryRead(found, onProblem)).OfType<Manifest>()];
    }

    private static string IdOf(string manifestKey)
    {
        string folder = manifestKey[..^ManifestSuffix.Length];
        return folder[(folder.LastIndexOf('/') + 1)..];
    }

    private Manifest? TryRead(string key, Action<string> onProblem)
    {
        try
        {
            if (store.ReadSmall(key, ManifestFile.MaxBytes) is not var (content, _))
                return null;
            var manifest = ManifestFile.Parse(location.UrlOf(key), content);
            // Whoever may write to the bucket may have put anything there; files are named by it.
            var names = new CoreNames { Host = manifest.Host, Index = manifest.Index, Core = manifest.Files.Vmcore };
            if (manifest.Stored is null || !HostFileName.IsAllowed(manifest.Host) || CoreNames.IndexOf(manifest.Files.Vmcore, manifest.Host) != manifest.Index
                || manifest.Files.Info != names.Info || (manifest.Files.Key is string other && other != names.Key) || manifest.Stored.Vmcore.Contains('/', StringComparison.Ordinal))
                throw new StorageException($"{location.UrlOf(key)}: is not a manifest that this program has stored");
            return manifest;
        }
        catch (StorageException e)
        {
            onProblem(e.Message);
            return null;
        }
    }
}
