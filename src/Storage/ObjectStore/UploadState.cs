using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>What another process needs to go on with an upload: <c>.upload.ID</c> beside the dump. Which parts have arrived the store itself tells.</summary>
/// <remarks>
/// It is written once for each upload. Its lock, held while it is open, keeps two processes from uploading the same dump of one directory. It holds the data key, because that may be wrapped for
/// somebody else only, and is no more secret than the dump beside it; it is removed with the upload's end.
/// </remarks>
internal sealed class UploadState : IDisposable
{
    /// <summary>Another one makes other parts of the same file.</summary>
    public const int Version = 1;

    private const string NamePrefix = ".upload.";
    private const int MaxBytes = 64 << 10;

    private readonly SafeFileHandle _directory;
    private readonly SafeFileHandle _file;
    private readonly string _name;

    private UploadState(SafeFileHandle directory, SafeFileHandle file, string name)
    {
        _directory = directory;
        _file = file;
        _name = name;
    }

    /// <summary>The upload that was begun; null where none was, or where it cannot be told.</summary>
    public BegunUpload? Begun { get; private set; }

    /// <summary>Takes the dump for this process; null where another one has it.</summary>
    /// <exception cref="StorageException">The file cannot be opened.</exception>
    public static UploadState? Take(CatalogedDump dump)
    {
        string directoryPath = Path.GetDirectoryName(dump.ManifestPath)!;
        string name = NameOf(dump.Manifest);
        var directory = Posix.Open(directoryPath, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"directory {directoryPath}: {Errno.Words(Errno.Last)}");
        var file = Posix.OpenAt(directory, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_NOFOLLOW | Posix.O_NONBLOCK, 0x180 /* rw for the owner */);
        if (file is null)
        {
            string problem = Errno.Words(Errno.Last);
            directory.Dispose();
            throw new StorageException($"{Path.Join(directoryPath, name)}: {problem}");
        }

        // One who has it may remove it between the opening and the lock.
        if (Posix.LockOwned(file) == Errno.EAGAIN || !Posix.IsNamed(file, directory, name))
        {
            file.Dispose();
            directory.Dispose();
            return null;
        }

        var state = new UploadState(directory, file, name);
        state.Begun = state.TryRead();
        return state;
    }

    /// <summary>The name of its file.</summary>
    internal static string NameOf(Manifest manifest) => NamePrefix + manifest.Id;

    /// <summary>Notes an upload; it is durable when this returns.</summary>
    /// <exception cref="StorageException">It cannot be written.</exception>
    public void Write(BegunUpload begun)
    {
        byte[] content = JsonSerializer.SerializeToUtf8Bytes(begun, UploadStateJson.Default.BegunUpload);
        if (Posix.Truncate(_file, 0) is not 0 and var errno || Posix.WriteAt(_file, content, 0) != content.Length)
            throw new StorageException($"{_name}: cannot be written: {Errno.Words(Errno.Last)}");
        _ = Posix.Sync(_file);
        Begun = begun;
    }

    /// <summary>Forgets the upload, also after a crash: a data key must not encrypt other bytes at the same place.</summary>
    /// <exception cref="StorageException">It cannot be forgotten for sure.</exception>
    public void Clear()
    {
        if (Begun is null)
            return;
        if (Posix.Truncate(_file, 0) is not 0 and var errno || (errno = Posix.Sync(_file)) != 0)
            throw new StorageException($"{_name}: cannot be cleared: {Errno.Words(errno)}");
        Begun = null;
    }

    /// <summary>Removes the file: the upload has ended.</summary>
    public void Remove() => _ = Posix.Unlink(_directory, _name);

    /// <summary>Lets others have the dump; the file goes where it says nothing.</summary>
    public void Dispose()
    {
        if (Begun is null)
            Remove();
        _file.Dispose();
        _directory.Dispose();
    }

    private BegunUpload? TryRead()
    {
        try
        {
            byte[] content = new byte[Math.Min(RandomAccess.GetLength(_file), MaxBytes)];
            int read = RandomAccess.Read(_file, content, 0);
            var begun = read == 0 ? null : JsonSerializer.Deserialize(content.AsSpan(0, read), UploadStateJson.Default.BegunUpload);
            return begun is { Version: Version } ? begun : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or NotSupportedException)
        {
            // Torn by a crash; what was sent of it is given up with the uploads that nobody knows.
            return null;
        }
    }
}

/// <summary>An upload that was begun.</summary>
internal sealed record BegunUpload
{
    public required int Version { get; init; }

    /// <summary>Bucket and key.</summary>
    public required string Url { get; init; }
    public required string UploadId { get; init; }
    public required long PartBytes { get; init; }
    public required long FileBytes { get; init; }
    public required StoreCompression Compression { get; init; }

    /// <summary>See <see cref="SealHeader"/>; null where it is not encrypted.</summary>
    public byte[]? SealHeader { get; init; }
    public byte[]? DataKey { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(BegunUpload))]
internal sealed partial class UploadStateJson : JsonSerializerContext;
