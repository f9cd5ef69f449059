using System.Globalization;

namespace NetdumpCollector.Storage;

/// <summary>An ended dump as its manifest tells it.</summary>
/// <param name="ManifestPath">Absolute path of the manifest.</param>
/// <param name="Manifest">What it says.</param>
public sealed record CatalogedDump(string ManifestPath, Manifest Manifest)
{
    /// <summary><c>HOST.N</c>, as in the file names.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture, $"{Manifest.Host}.{Manifest.Index}");

    public string VmcorePath => PathOf(Manifest.Files.Vmcore);
    public string InfoPath => PathOf(Manifest.Files.Info);
    public string? KeyPath => Manifest.Files.Key is string key ? PathOf(key) : null;

    /// <summary>The dump as it was when it ended.</summary>
    /// <param name="root">The dump directory, absolute.</param>
    public CommittedDump CommittedIn(string root) => new(Manifest.Id, ManifestPath, Path.GetRelativePath(root, InfoPath), Path.GetRelativePath(root, VmcorePath), Manifest);

    private string PathOf(string name) => Path.Join(Path.GetDirectoryName(ManifestPath), name);
}

/// <summary>A dump that has not ended: it runs, or a server left it behind.</summary>
/// <param name="Path">Absolute path of the data file.</param>
/// <param name="Opened">What its ledger says of it, or null when the ledger is missing or not readable.</param>
/// <param name="HasKdh">Its kernel dump header came.</param>
/// <param name="LengthBytes">End of its last byte so far.</param>
/// <param name="IsRunning">A server is receiving it.</param>
public sealed record PartialDump(string Path, LedgerRecord.Opened? Opened, bool HasKdh, long LengthBytes, bool IsRunning);

/// <summary>A file in the dump directory that is not what its name promises.</summary>
/// <param name="Path">The file or directory.</param>
/// <param name="Reason">What is wrong with it, in words.</param>
public sealed record CatalogProblem(string Path, string Reason);
