using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>An ended dump and what its files say beyond the manifest.</summary>
/// <param name="Dump">The dump.</param>
/// <param name="HasCore">Its vmcore is there; a dump whose vmcore somebody moved away protects no other and frees nothing.</param>
/// <param name="IsInUse">Its client is still answered, or its script may still read it.</param>
public sealed record RetentionCandidate(CatalogedDump Dump, bool HasCore, bool IsInUse)
{
    /// <summary>Bytes of the device that the dump takes: those that came, as holes take none and a client may claim any length.</summary>
    public long Bytes => HasCore ? (long)Math.Min(Math.Min(Dump.Manifest.Bytes, Dump.Manifest.CoveredBytes), long.MaxValue) : 0;

    /// <summary>The whole dump is there.</summary>
    public bool IsComplete => HasCore && Dump.Manifest.Status == DumpStatus.Complete;

    /// <summary>Looks at the files of every ended dump in <paramref name="catalog"/>.</summary>
    /// <param name="catalog">The dump directory.</param>
    /// <param name="now">The time.</param>
    /// <param name="scriptPatience">How long after a dump's end its script may still be running when its manifest has no result of one; zero where no script runs.</param>
    public static IReadOnlyList<RetentionCandidate> Of(DumpCatalog catalog, DateTimeOffset now, TimeSpan scriptPatience) =>
        [.. catalog.Dumps.Select(dump => new RetentionCandidate(dump, File.Exists(dump.VmcorePath), IsBeingServed(dump) || AwaitsScript(dump.Manifest, now, scriptPatience)))];

    /// <summary>The ledger outlives the commit until the client needs no answer any more; one that no server holds now is taken up by the next start.</summary>
    private static bool IsBeingServed(CatalogedDump dump) => File.Exists(Path.Join(Path.GetDirectoryName(dump.ManifestPath), DumpRemoval.LedgerOf(dump.Manifest)));

    private static bool AwaitsScript(Manifest manifest, DateTimeOffset now, TimeSpan patience) =>
        manifest.Script is null && now - manifest.EndedAt < patience;

    /// <summary>The candidates, by the device of their directory; those whose directory cannot be opened are left out.</summary>
    internal static ILookup<ulong, RetentionCandidate> ByDevice(IReadOnlyList<RetentionCandidate> candidates)
    {
        var devices = new Dictionary<string, ulong?>();
        var found = new List<(ulong Device, RetentionCandidate Candidate)>();
        foreach (var candidate in candidates)
        {
            string directory = Path.GetDirectoryName(candidate.Dump.ManifestPath)!;
            ref ulong? device = ref CollectionsMarshal.GetValueRefOrAddDefault(devices, directory, out bool known);
            if (!known)
                device = FileSystemSpace.DeviceOf(directory);
            if (device is ulong number)
                found.Add((number, candidate));
        }

        return found.ToLookup(pair => pair.Device, pair => pair.Candidate);
    }
}
