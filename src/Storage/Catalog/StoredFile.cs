using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>One of the files that an ended dump consists of.</summary>
public enum StoredFileKind
{
    Vmcore,
    Info,
    Key,
    Manifest,
}

/// <summary>A file of an ended dump, open to be read.</summary>
/// <remarks>
/// A manifest names files; somebody may have edited it, and whoever may write to the dump directory may have put anything at these names. So only names that the collector itself gives a dump of that host and
/// index are opened, in a directory that lies beneath the dump directory, and only regular files, never through a link.
/// </remarks>
public sealed class StoredFile : IDisposable
{
    private StoredFile(SafeFileHandle handle, string name, long length, DateTime modifiedAt)
    {
        Handle = handle;
        Name = name;
        LengthBytes = length;
        ModifiedAt = modifiedAt;
    }

    public SafeFileHandle Handle { get; }

    /// <summary>Its name in its directory: letters, digits and <c>_.-</c> only.</summary>
    public string Name { get; }

    public long LengthBytes { get; }

    /// <summary>Its length now.</summary>
    internal long CurrentLength => RandomAccess.GetLength(Handle);

    /// <summary>When it was last written to, UTC.</summary>
    public DateTime ModifiedAt { get; }

    /// <summary>Opens a file of <paramref name="dump"/>; may block on the device.</summary>
    /// <param name="root">The dump directory, absolute.</param>
    /// <param name="dump">The dump, from the catalogue of that directory.</param>
    /// <param name="kind">Which file.</param>
    /// <returns>Null where the dump has no such file.</returns>
    /// <exception cref="StorageException">It cannot be opened, or is not what its name promises.</exception>
    public static StoredFile? Open(string root, CatalogedDump dump, StoredFileKind kind) => Open(root, dump, kind, Posix.O_RDONLY);

    /// <summary>Opens the vmcore of <paramref name="dump"/> to write what it lacks.</summary>
    /// <exception cref="StorageException">It cannot be opened, or is not what its name promises.</exception>
    internal static StoredFile OpenToFill(string root, CatalogedDump dump) => Open(root, dump, StoredFileKind.Vmcore, Posix.O_RDWR)!;

    private static StoredFile? Open(string root, CatalogedDump dump, StoredFileKind kind, int access)
    {
        if (NameOf(dump, kind) is not string name)
            return null;

        using var directory = Posix.Open(root, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"dump directory {root}: {Errno.Words(Errno.Last)}");
        string folder = Path.GetRelativePath(root, Path.GetDirectoryName(dump.ManifestPath)!);
        using var parent = new ContainedPath(directory).Open(folder, out _, out string? refusal) ?? throw new StorageException($"directory {folder} of {name}: {refusal}");
        // A FIFO of that name must not be waited for.
        var handle = Posix.OpenAt(parent, name, access | Posix.O_NOFOLLOW | Posix.O_NONBLOCK)
            ?? throw new StorageException($"{Path.Join(folder, name)}: {(Errno.Last == Errno.ELOOP ? "is a link, which is not followed" : Errno.Words(Errno.Last))}");
        try
        {
            return Posix.IsRegular(handle)
                ? new(handle, name, RandomAccess.GetLength(handle), File.GetLastWriteTimeUtc(handle))
                : throw new StorageException($"{Path.Join(folder, name)}: is not a regular file");
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose() => Handle.Dispose();

    private static string? NameOf(CatalogedDump dump, StoredFileKind kind)
    {
        var manifest = dump.Manifest;
        var names = new CoreNames { Host = manifest.Host, Index = manifest.Index, Core = manifest.Files.Vmcore };
        var (name, isOurs) = kind switch
        {
            StoredFileKind.Vmcore => (names.Core, CoreNames.IndexOf(names.Core, manifest.Host) == manifest.Index),
            StoredFileKind.Info => (manifest.Files.Info, manifest.Files.Info == names.Info),
            StoredFileKind.Key => (manifest.Files.Key, manifest.Files.Key is null || manifest.Files.Key == names.Key),
            _ => (Path.GetFileName(dump.ManifestPath), Path.GetFileName(dump.ManifestPath) == names.Manifest),
        };
        return isOurs && HostFileName.IsAllowed(manifest.Host) ? name
            : throw new StorageException($"manifest {dump.ManifestPath}: names {name} as the {kind.ToString().ToLowerInvariant()} of {dump.Name}, which is not what such a file is called");
    }
}
