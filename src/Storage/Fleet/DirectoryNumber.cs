using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>Tells one dump directory from every other, whichever nodes it is mounted on.</summary>
public static class DirectoryNumber
{
    public const string Name = ".catalogue.directory";

    private const int TextLength = 36;

    /// <summary>The number that a directory was given when a node of a fleet first used it; it is given one where it has none.</summary>
    /// <exception cref="StorageException">It can neither be read nor be given.</exception>
    public static Guid Of(string root)
    {
        using var directory = Posix.Open(root, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"dump directory {root}: {Errno.Words(Errno.Last)}");
        if (Read(root) is { } known)
            return known;
        try
        {
            AtomicFile.Write(directory, Name, System.Text.Encoding.ASCII.GetBytes($"{Guid.NewGuid():D}\n"), Posix.FileMode, replace: false);
        }
        catch (StorageException) when (File.Exists(Path.Join(root, Name)))
        {
            // Another node that shares the directory was faster, or it is something else.
        }

        return Read(root) ?? throw new StorageException($"{Path.Join(root, Name)}: is not the number of a dump directory; delete it, and it is made anew");
    }

    private static Guid? Read(string root)
    {
        try
        {
            string path = Path.Join(root, Name);
            return File.Exists(path) && new FileInfo(path).Length <= TextLength + 1 && Guid.TryParseExact(File.ReadAllText(path).AsSpan().Trim(), "D", out var number) ? number : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"{Path.Join(root, Name)}: {e.Message}", e);
        }
    }
}
