namespace NetdumpCollector.Storage.Fleet;

/// <summary>What the catalogue has to be told about an ended dump.</summary>
/// <param name="DumpId">The dump.</param>
/// <param name="Dump">How it is now; null where its files are gone.</param>
public sealed record OutboxEntry(string DumpId, LocatedManifest? Dump);

/// <summary>A manifest and where it lies.</summary>
/// <param name="Path">Path of the dump's data from the dump directory.</param>
/// <param name="Json">The manifest; long lists of ranges are cut.</param>
/// <param name="Digest">Of the manifest's file, see <see cref="ManifestScan"/>.</param>
public sealed record LocatedManifest(string Path, string Json, string Digest);
