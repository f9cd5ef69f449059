using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>An ended dump and what its files say beyond the manifest.</summary>
/// <param name="Dump">The dump.</param>
/// <param name="HasCore">Its vmcore is there; a dump whose vmcore somebody moved away protects no other and frees nothing.</param>
/// <param name="IsInUse">Its client is still answered, or its script may still read it.</param>
public sealed record RetentionCandidate(CatalogedDump Dump, bool HasCore, bool IsInUse)
{
    /// <summary>Bytes of the device that the file system has given to the vmcore, holes left out.</summary>
    public long AllocatedBytes { get; init; } = long.MaxValue;

    /// <summary>Bytes of the device that the dump takes: of those that came the ones that are no hole; a client may claim any length.</summary>
    public long Bytes => HasCore ? (long)Math.Min(Math.Min(Dump.Manifest.Bytes, Dump.Manifest.CoveredBytes), (ulong)AllocatedBytes) : 0;

    /// <summary>The whole dump is there.</summary>
    public bool IsComplete => HasCore && Dump.Manifest.Status == DumpStatus.Complete;

    /// <summary>Looks at the files of every ended dump in <paramref name="catalog"/>.</summary>
    /// <param name="catalog">The dump directory.</param>
    /// <param name="now">The time.</param>
    /// <param name="scriptPatience">How long after a dump's end its script may still be running when its manifest has no result of one; zero where no script runs.</param>
    public static IReadOnlyList<RetentionCandidate> Of(DumpCatalog catalog, DateTimeOffset now, TimeSpan scriptPatience) =>
        [.. catalog.Dumps.Select(dump => new RetentionCandidate(dump, File.Exists(dump.VmcorePath), IsUsed(dump.ManifestPath, dump.Manifest, now, scriptPatience))
        {
            AllocatedBytes = FileSystemSpace.AllocatedBytes(dump.VmcorePath) ?? long.MaxValue,
        })];

    /// <summary>The dump's client is still answered, or its script may still read it.</summary>
    internal static bool IsUsed(string manifestPath, Manifest manifest, DateTimeOffset now, TimeSpan scriptPatience) =>
        IsBeingServed(manifestPath, manifest) || AwaitsScript(manifest, now, scriptPatience);

    /// <summary>The ledger outlives the commit until the client needs no answer any more; one that no server holds now is taken up by the next start.</summary>
    private static bool IsBeingServed(string manifestPath, Manifest manifest) =>
        File.Exists(Path.Join(Path.GetDirectoryName(manifestPath), DumpRemoval.LedgerOf(manifest)));

    private static bool AwaitsScript(Manifest manifest, DateTimeOffset now, TimeSpan patience) =>
        (manifest.ScriptPending && patience > TimeSpan.Zero) || (manifest.Script is null && now - manifest.EndedAt < patience);
}
