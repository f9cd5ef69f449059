using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>Reads and replaces manifests. A reader sees the old one or the new one, also after a crash.</summary>
public static class ManifestFile
{
    /// <summary>Longest manifest that is read; thousands of ranges fit in a few megabytes.</summary>
    public const long MaxBytes = 64 << 20;

    /// <summary>Serialises updates of one path; picked by its hash.</summary>
    private static readonly Lock[] s_updates = [.. Enumerable.Range(0, 64).Select(_ => new Lock())];

    /// <summary>Loads what writing needs, so that a process that has run out of descriptors can still describe a dump.</summary>
    public static void Prepare()
    {
        using var unused = new Utf8JsonWriter(Stream.Null);
        unused.WriteStartObject();
        unused.WriteString("loads"u8, JsonNamingPolicy.CamelCase.ConvertName("Encoder"));
    }

    /// <exception cref="StorageException">It cannot be read or is not a manifest of this version.</exception>
    public static Manifest Read(string path)
    {
        try
        {
            // A FIFO of that name must not be waited for.
            using var handle = Posix.Open(path, Posix.O_RDONLY | Posix.O_NONBLOCK) ?? throw new StorageException($"manifest {path}: {Errno.Words(Errno.Last)}");
            using var file = new FileStream(handle, FileAccess.Read);
            if (!file.CanSeek)
                throw new StorageException($"manifest {path}: is not a regular file");
            if (file.Length > MaxBytes)
                throw new StorageException($"manifest {path}: {file.Length} bytes is too long for one");

            return Checked(path, JsonSerializer.Deserialize(file, ManifestJson.Default.Manifest));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or NotSupportedException)
        {
            throw new StorageException($"manifest {path}: {e.Message}", e);
        }
    }

    /// <summary>Reads a manifest that came from elsewhere.</summary>
    /// <param name="name">What errors call it.</param>
    /// <param name="content">All of it.</param>
    /// <exception cref="StorageException">It is not a manifest of this version.</exception>
    public static Manifest Parse(string name, ReadOnlySpan<byte> content)
    {
        try
        {
            return Checked(name, JsonSerializer.Deserialize(content, ManifestJson.Default.Manifest));
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new StorageException($"manifest {name}: {e.Message}", e);
        }
    }

    private static Manifest Checked(string path, Manifest? manifest)
    {
        if (manifest is null)
            throw new StorageException($"manifest {path}: is null");
        if (manifest.Schema != Manifest.CurrentSchema)
            throw new StorageException($"manifest {path}: schema {manifest.Schema} is not known to this version, which knows {Manifest.CurrentSchema}");
        CheckFileName(path, manifest.Files.Vmcore);
        CheckFileName(path, manifest.Files.Info);
        if (manifest.Files.Key is string key)
            CheckFileName(path, key);
        return manifest;
    }

    /// <summary>Writes or replaces the manifest at <paramref name="path"/>; it is durable when this returns.</summary>
    /// <exception cref="StorageException">It could not be written; the old one is still there.</exception>
    public static void Write(string path, Manifest manifest)
    {
        using var handle = OpenDirectoryOf(path, out string directory);
        AtomicFile.Write(handle, Path.GetFileName(path), ManifestWriter.ToUtf8(manifest), Posix.FileMode, replace: true);
        if (Posix.SyncDirectory(handle) is not 0 and var errno)
            throw new StorageException($"directory {directory}: not durable, fsync failed: {Errno.Words(errno)}");
    }

    /// <summary>Replaces a manifest by what <paramref name="change"/> makes of it; updates of one path follow each other, also those of several processes.</summary>
    /// <returns>The new manifest.</returns>
    /// <exception cref="StorageException">It could not be read or written.</exception>
    public static Manifest Update(string path, Func<Manifest, Manifest> change)
    {
        path = Path.GetFullPath(path);
        lock (s_updates[(uint)path.GetHashCode(StringComparison.Ordinal) % (uint)s_updates.Length])
        {
            using var directory = LockDirectoryOf(path);
            var manifest = change(Read(path));
            Write(path, manifest);
            return manifest;
        }
    }

    /// <summary>Opens the manifest's directory for the one process that changes or deletes a manifest in it, until it is disposed; others wait.</summary>
    /// <remarks>A command of the operator and the server may be at the same manifest: neither must undo what the other did. A file system without locks does not keep them apart.</remarks>
    /// <exception cref="StorageException">It cannot be opened.</exception>
    internal static SafeFileHandle LockDirectoryOf(string path)
    {
        var handle = OpenDirectoryOf(path, out _);
        while (Posix.Lock(handle, Posix.LockExclusive) == Errno.EINTR)
        {
        }

        return handle;
    }

    private static SafeFileHandle OpenDirectoryOf(string path, out string directory)
    {
        directory = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        return Posix.Open(directory, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"directory {directory}: {Errno.Words(Errno.Last)}");
    }

    /// <summary>Writes the manifest of a dump that just ended; its name it gets from the caller.</summary>
    internal static AtomicFile Draft(SafeFileHandle directory, string name, Manifest manifest) =>
        AtomicFile.Draft(directory, name, ManifestWriter.ToUtf8(manifest), Posix.FileMode);

    /// <summary>A manifest that somebody edited must not lead anyone to files elsewhere.</summary>
    private static void CheckFileName(string path, string? name)
    {
        if (string.IsNullOrEmpty(name) || name is "." or ".." || name.AsSpan().ContainsAny('/', '\0'))
            throw new StorageException($"manifest {path}: '{name}' is not a file name");
    }
}
