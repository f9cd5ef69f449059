namespace NetdumpCollector.Storage.Tests;

/// <summary>A directory of one test's own, removed with everything in it.</summary>
internal sealed class TempDirectory : IDisposable
{
    private const string MemoryFileSystem = "/dev/shm";

    public TempDirectory()
        : this(Directory.CreateTempSubdirectory("netdump-storage-").FullName)
    {
    }

    private TempDirectory(string path) => Path = path;

    public string Path { get; }

    /// <summary>One where syncing costs nothing, for tests that do it thousands of times; as any other where there is none.</summary>
    public static TempDirectory InMemory()
    {
        if (!Directory.Exists(MemoryFileSystem))
            return new();
        string path = System.IO.Path.Combine(MemoryFileSystem, $"netdump-storage-{Guid.NewGuid():n}");
        Directory.CreateDirectory(path);
        return new(path);
    }

    /// <summary>Names of everything directly in it, sorted.</summary>
    public string[] Names => [.. Directory.GetFileSystemEntries(Path).Select(path => System.IO.Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Text(string name) => System.IO.File.ReadAllText(File(name));

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
