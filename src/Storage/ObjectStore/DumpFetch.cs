using System.Security.Cryptography;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>Brings a dump back from the store, as the files that it was, and checks all that can be checked.</summary>
/// <param name="store">The store.</param>
/// <param name="location">Where in it.</param>
public sealed class DumpFetch(IObjectStore store, StoreLocation location)
{
    private const int BufferBytes = 1 << 20;
    private const long MaxSmallBytes = 64 << 20;

    /// <summary>Fetches <paramref name="manifest"/>'s dump into <paramref name="directory"/>. What an interrupted fetch has left there is gone on with.</summary>
    /// <param name="manifest">The dump, as the store describes it.</param>
    /// <param name="directory">Where the files go, which becomes a dump directory; it must be there.</param>
    /// <param name="keyFile">File with the secret or private key; null where the dump is not encrypted.</param>
    /// <param name="progress">Gets the step, bytes done and bytes in all.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>The vmcore's path.</returns>
    /// <exception cref="StorageException">A file cannot be written or is there already, the key is wrong, or what the store has is not what was stored.</exception>
    /// <exception cref="ObjectStoreException">The store does not answer; another attempt goes on.</exception>
    public string Run(Manifest manifest, string directory, string? keyFile, Action<string, long, long> progress, CancellationToken cancellation)
    {
        var stored = manifest.Stored!;
        string folder = stored.Url.StartsWith(location.UrlOf(""), StringComparison.Ordinal) ? stored.Url[location.UrlOf("").Length..] : throw new StorageException($"{stored.Url} is not in {location}");
        string target = Path.Join(directory, manifest.Files.Vmcore);
        foreach (string name in (string[])[manifest.Files.Vmcore, manifest.Files.Info, $"dump.{manifest.Host}.{manifest.Index}.json"])
        {
            if (File.Exists(Path.Join(directory, name)))
                throw new StorageException($"{Path.Join(directory, name)}: is there already; name another directory with --output, or move it away");
        }

        var key = stored.Encryption == StoreEncryption.None ? null
            : SealingKey.FromOpeningFile(keyFile ?? throw new StorageException($"{stored.Url}: is encrypted; name the file with its key with --key"));
        string download = Path.Join(directory, $".{manifest.Id}.{stored.Sha256.AsSpan(0, 8)}.fetch");
        try
        {
            Download(folder + stored.Vmcore, stored, download, progress, cancellation);
            if (stored is { Encryption: StoreEncryption.None, Compression: StoreCompression.None })
                File.Move(download, target, overwrite: false);
            else
                Decode(manifest, stored, download, target, key, progress, cancellation);
            FetchSmall(folder + StoreObjects.Info, Path.Join(directory, manifest.Files.Info));
            if (manifest.Files.Key is string keyName)
                FetchSmall(folder + StoreObjects.Key, Path.Join(directory, keyName));
            // Last, as a manifest without its files says too much.
            ManifestFile.Write(Path.Join(directory, $"dump.{manifest.Host}.{manifest.Index}.json"), manifest);
            File.Delete(download);
            return target;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"{directory}: {e.Message}", e);
        }
    }

    private void Download(string objectKey, ManifestStored stored, string path, Action<string, long, long> progress, CancellationToken cancellation)
    {
        byte[] buffer = new byte[BufferBytes];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using (var file = OpenPrivate(path, FileMode.OpenOrCreate, FileAccess.ReadWrite))
        {
            while (file.Read(buffer) is > 0 and var had)
            {
                cancellation.ThrowIfCancellationRequested();
                hash.AppendData(buffer, 0, had);
                progress("looking at what is there", file.Position, stored.Bytes);
            }

            if (file.Position < stored.Bytes)
            {
                using var content = store.Read(objectKey, file.Position, stored.ETag);
                while (content.Read(buffer, 0, buffer.Length) is > 0 and var read)
                {
                    cancellation.ThrowIfCancellationRequested();
                    file.Write(buffer, 0, read);
                    hash.AppendData(buffer, 0, read);
                    progress("fetching", file.Position, stored.Bytes);
                }
            }

            if (file.Position == stored.Bytes && Convert.ToHexStringLower(hash.GetHashAndReset()) == stored.Sha256)
                return;
            if (file.Position < stored.Bytes)
                throw new ObjectStoreException(StoreFailure.Unreachable, $"{location.UrlOf(objectKey)}: broke off after {file.Position} of {stored.Bytes} bytes; the same command goes on");
        }

        File.Delete(path);
        throw new StorageException($"{location.UrlOf(objectKey)}: is not what was stored (its SHA-256 is not {stored.Sha256}); what was fetched has been removed");
    }

    /// <summary>Decrypts and decompresses into the vmcore, which gets its name when it has proved to be whole.</summary>
    private static void Decode(Manifest manifest, ManifestStored stored, string download, string target, SealingKey? key, Action<string, long, long> progress, CancellationToken cancellation)
    {
        string draft = $"{download}ed";
        byte[] buffer = new byte[BufferBytes];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        try
        {
            using (var source = Open(stored, File.OpenRead(download), key))
            using (var file = OpenPrivate(draft, FileMode.Create, FileAccess.Write))
            {
                while (source.Read(buffer, 0, buffer.Length) is > 0 and var read)
                {
                    cancellation.ThrowIfCancellationRequested();
                    if (file.Position + read > (long)manifest.Bytes)
                        throw new InvalidDataException($"has more than the {manifest.Bytes} bytes of the dump");
                    file.Write(buffer, 0, read);
                    hash.AppendData(buffer, 0, read);
                    progress("decoding", file.Position, (long)manifest.Bytes);
                }

                if (file.Position != (long)manifest.Bytes)
                    throw new InvalidDataException($"has {file.Position} bytes, the dump {manifest.Bytes}");
                if (manifest.Sha256 is string expected && Convert.ToHexStringLower(hash.GetHashAndReset()) != expected)
                    throw new InvalidDataException($"has another SHA-256 than the dump's, {expected}");
                file.Flush(flushToDisk: true);
            }

            File.Move(draft, target, overwrite: false);
        }
        catch (InvalidDataException e)
        {
            throw new StorageException($"{stored.Url}{stored.Vmcore}: {e.Message}", e);
        }
        finally
        {
            File.Delete(draft);
        }
    }

    /// <summary>What dumps hold is nobody else's business.</summary>
    private static FileStream OpenPrivate(string path, FileMode mode, FileAccess access)
    {
        var options = new FileStreamOptions { Mode = mode, Access = access };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new(path, options);
    }

    private static Stream Open(ManifestStored stored, Stream source, SealingKey? key)
    {
        if (key is null)
            return StoreDecompression.Open(stored.Compression, source);
        var header = SealHeader.Read(source);
        byte[] dataKey = key.Unwrap(header.Keys) ?? throw new StorageException(
            $"{stored.Url}: is encrypted for {string.Join(" and ", header.Keys.Select(wrapped => $"key {Convert.ToHexStringLower(wrapped.KeyId)}"))}, and --key is key {Convert.ToHexStringLower(key.Id)}");
        return StoreDecompression.Open(stored.Compression, new ChunkOpener(source, dataKey, header));
    }

    private void FetchSmall(string objectKey, string path)
    {
        // A dump whose info file had been taken away before has none.
        if (store.ReadSmall(objectKey, MaxSmallBytes) is not var (content, _))
            return;
        using var directory = Posix.Open(Path.GetDirectoryName(Path.GetFullPath(path))!, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"{path}: {Errno.Words(Errno.Last)}");
        AtomicFile.Write(directory, Path.GetFileName(path), content, Posix.FileMode, replace: false);
    }
}
