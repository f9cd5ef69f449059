using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Stitching;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>A part that lies in this node's own dump directory: the dump came back to it.</summary>
/// <param name="root">The dump directory.</param>
/// <param name="manifestPath">Its manifest.</param>
/// <param name="id">The dump that is to be there.</param>
/// <param name="node">The node that received it.</param>
internal sealed class FilePart(string root, string manifestPath, string id, string node) : IDumpPart, IDisposable
{
    private StoredFile? _vmcore;

    public Manifest Manifest { get; } = ManifestFile.Read(manifestPath) is var manifest && manifest.Id == id ? manifest : throw new StorageException($"{manifestPath}: is the dump {manifest.Id} where {id} is to be");

    public string Node => node;

    public void Read(ulong offset, Span<byte> bytes)
    {
        _vmcore ??= Open(StoredFileKind.Vmcore);
        ReadAll(_vmcore, (long)offset, bytes);
    }

    public byte[] ReadKey()
    {
        using var file = Open(StoredFileKind.Key);
        byte[] key = new byte[Math.Min(file.LengthBytes, 1 << 20)];
        ReadAll(file, 0, key);
        return key;
    }

    public void Dispose() => _vmcore?.Dispose();

    private StoredFile Open(StoredFileKind kind) =>
        StoredFile.Open(root, new(manifestPath, Manifest), kind) ?? throw new StorageException($"{manifestPath}: has no {kind.ToString().ToLowerInvariant()}");

    private static void ReadAll(StoredFile file, long offset, Span<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                int read = RandomAccess.Read(file.Handle, bytes, offset);
                if (read == 0)
                    throw new StorageException($"{file.Name}: ends after {offset} bytes");
                bytes = bytes[read..];
                offset += read;
            }
        }
        catch (IOException e)
        {
            throw new StorageException($"{file.Name}: cannot be read: {e.Message}", e);
        }
    }
}
