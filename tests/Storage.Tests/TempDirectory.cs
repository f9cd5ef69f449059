namespace NetdumpCollector.Storage.Tests;

/// <summary>A directory of one test's own, removed with everything in it.</summary>
internal sealed class TempDirectory : IDisposable
{
    public TempDirectory()
    {
        Path = Directory.CreateTempSubdirectory("netdump-storage-").FullName;
    }

    public string Path { get; }

    /// <summary>Names of everything directly in it, sorted.</summary>
    public string[] Names => [.. Directory.GetFileSystemEntries(Path).Select(path => System.IO.Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Text(string name) => System.IO.File.ReadAllText(File(name));

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
