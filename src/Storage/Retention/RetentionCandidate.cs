using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Storage;

/// <summary>An ended dump and what its files say beyond the manifest.</summary>
/// <param name="Dump">The dump.</param>
/// <param name="HasCore">Its vmcore is there; a dump whose vmcore somebody moved away protects no other and frees nothing.</param>
/// <param name="IsInUse">Its client is still answered, or its script may still read it.</param>
public sealed record RetentionCandidate(CatalogedDump Dump, bool HasCore, bool IsInUse)
{
    /// <summary>It is not in the object store yet where it is to be.</summary>
    public bool AwaitsStore { get; init; }

    /// <summary>A whole dump may still need it: it is a part, or may be one.</summary>
    public bool AwaitsParts { get; init; }

    /// <summary>Bytes of the device that the file system has given to the vmcore, holes left out.</summary>
    public long AllocatedBytes { get; init; } = long.MaxValue;

    /// <summary>Bytes of the device that the dump takes: of those that came the ones that are no hole; a client may claim any length.</summary>
    public long Bytes => HasCore ? (long)Math.Min(Math.Min(Dump.Manifest.Bytes, Dump.Manifest.CoveredBytes), (ulong)AllocatedBytes) : 0;

    /// <summary>The whole dump is there.</summary>
    public bool IsComplete => HasCore && Dump.Manifest.Status == DumpStatus.Complete;

    /// <summary>Looks at the files of every ended dump in <paramref name="catalog"/>.</summary>
    /// <param name="catalog">The dump directory.</param>
    /// <param name="now">The time.</param>
    /// <param name="needs">Who may still need dumps.</param>
    public static IReadOnlyList<RetentionCandidate> Of(DumpCatalog catalog, DateTimeOffset now, DumpNeeds needs) =>
        [.. catalog.Dumps.Select(dump => new RetentionCandidate(dump, File.Exists(dump.VmcorePath), IsUsed(dump.ManifestPath, dump.Manifest, now, needs))
        {
            AwaitsStore = AwaitsItsStore(dump.Manifest, needs),
            AwaitsParts = DumpStitching.IsNeeded(dump.Manifest, needs.Parts, now),
            AllocatedBytes = FileSystemSpace.AllocatedBytes(dump.VmcorePath) ?? long.MaxValue,
        })];

    /// <summary>The dump's client is still answered, or its script may still read it.</summary>
    internal static bool IsUsed(string manifestPath, Manifest manifest, DateTimeOffset now, DumpNeeds needs) =>
        IsBeingServed(manifestPath, manifest) || AwaitsScript(manifest, now, needs.ScriptPatience);

    /// <summary>It is to be in an object store and is not.</summary>
    internal static bool AwaitsItsStore(Manifest manifest, DumpNeeds needs) => needs.Store && manifest.Stored is null;

    /// <summary>The ledger outlives the commit until the client needs no answer any more; one that no server holds now is taken up by the next start.</summary>
    private static bool IsBeingServed(string manifestPath, Manifest manifest) =>
        File.Exists(Path.Join(Path.GetDirectoryName(manifestPath), DumpRemoval.LedgerOf(manifest)));

    private static bool AwaitsScript(Manifest manifest, DateTimeOffset now, TimeSpan patience) =>
        (manifest.ScriptPending && patience > TimeSpan.Zero) || (manifest.Script is null && now - manifest.EndedAt < patience);
}
