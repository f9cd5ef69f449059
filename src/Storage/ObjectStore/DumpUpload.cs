using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>How the upload of a dump ended.</summary>
public enum UploadOutcome
{
    /// <summary>It was sent, is whole, and its manifest says so.</summary>
    Uploaded,

    /// <summary>It was there already, the same.</summary>
    WasThere,

    /// <summary>Another process sends it, or has it done in the meantime; look again later.</summary>
    Elsewhere,
}

/// <summary>What an upload has done so far; thread-safe for one who writes.</summary>
public interface IUploadMeter
{
    /// <summary>A part has arrived.</summary>
    void PartSent(long bytes);

    /// <summary>A part had arrived before this process began.</summary>
    void PartReused(long bytes);
}

/// <summary>Brings one dump to the store: vmcore in parts, info file and key, and at last the manifest, whose presence says that the dump is whole.</summary>
/// <remarks>
/// It can be begun again at any point, by another process or another node too. Nothing is written twice: parts that arrived are compared, small objects are only written where there are none. Where two nodes send the same
/// dump, the vmcore of the one that is later stands, and <see cref="PublishManifest"/> has the manifest agree with it.
/// </remarks>
/// <param name="store">The store; it waits for itself where it is not there.</param>
/// <param name="options">How dumps are stored.</param>
/// <param name="time">The clock that the manifest is dated by.</param>
/// <param name="meter">Told what was sent.</param>
public sealed class DumpUpload(IObjectStore store, StoreOptions options, TimeProvider time, IUploadMeter meter)
{
    private const long MaxManifestBytes = ManifestFile.MaxBytes;
    private const long MaxSmallBytes = 64 << 20;

    /// <summary>A store that loses an upload so often in a row loses it always.</summary>
    private const int MaxBeginnings = 3;

    private readonly StoreLocation _location = options.Location;

    /// <summary>Uploads <paramref name="dump"/> and notes in its manifest where it is stored.</summary>
    /// <param name="root">The dump directory.</param>
    /// <param name="dump">A dump of its catalogue whose hash is known or never will be.</param>
    /// <param name="cancellation">Ends it; the next attempt goes on.</param>
    /// <exception cref="StorageException">Something is wrong with the dump's own files, or the store has another dump of this id.</exception>
    /// <exception cref="ObjectStoreException">The store refuses it.</exception>
    public UploadOutcome Run(string root, CatalogedDump dump, CancellationToken cancellation)
    {
        using var state = UploadState.Take(dump);
        if (state is null)
            return UploadOutcome.Elsewhere;
        // What has changed meanwhile, into a whole dump perhaps, is looked at anew.
        if (!File.Exists(dump.ManifestPath) || ManifestFile.Read(dump.ManifestPath) is not { Stitching: false } now
            || (now.CoveredBytes, now.Status, now.Files) != (dump.Manifest.CoveredBytes, dump.Manifest.Status, dump.Manifest.Files))
            return UploadOutcome.Elsewhere;

        string folder = _location.FolderOf(dump.Manifest);
        for (int beginnings = 0; beginnings < MaxBeginnings; beginnings++)
        {
            // Whoever brought it there gave up the uploads of others.
            if (FindStored(dump.Manifest, folder) is var (stored, _) && IsThere(folder, stored))
            {
                Finish(dump, folder, stored, state);
                return UploadOutcome.WasThere;
            }

            using var vmcore = Open(root, dump);
            if (!TrySendVmcore(dump.Manifest, folder, vmcore, state, cancellation, out var sent))
            {
                state.Clear();
                continue;
            }

            if (sent is null)
                return UploadOutcome.Elsewhere;
            SendSmall(root, dump, StoredFileKind.Info, folder + StoreObjects.Info);
            SendSmall(root, dump, StoredFileKind.Key, folder + StoreObjects.Key);
            if (PublishManifest(dump.Manifest, folder, sent) is not { } published)
                return UploadOutcome.Elsewhere;
            Finish(dump, folder, published, state);
            return UploadOutcome.Uploaded;
        }

        throw new ObjectStoreException(StoreFailure.Other, $"{_location.UrlOf(folder)}: the store has lost {MaxBeginnings} uploads in a row; see whether something deletes incomplete uploads there");
    }

    private static StoredFile Open(string root, CatalogedDump dump)
    {
        // Reading the holes of a client that claims exabytes would never end; it takes hardly any room here.
        if (!DumpHash.IsWorthwhile(dump.Manifest.Bytes, dump.Manifest.CoveredBytes))
            throw new StorageException($"{dump.Manifest.Files.Vmcore}: claims {dump.Manifest.Bytes} bytes and has {dump.Manifest.CoveredBytes}: what is mostly holes is not uploaded");
        var vmcore = StoredFile.Open(root, dump, StoredFileKind.Vmcore)!;
        if ((ulong)vmcore.LengthBytes == dump.Manifest.Bytes)
            return vmcore;
        vmcore.Dispose();
        throw new StorageException($"{vmcore.Name}: has {vmcore.LengthBytes} bytes, the manifest says {dump.Manifest.Bytes}");
    }

    /// <summary>The compression that a dump gets: none where its kernel has compressed or encrypted it.</summary>
    internal StoreCompression CompressionOf(Manifest manifest) =>
        manifest.Kdh is { Valid: true, Compression: not "none" } || manifest.Files.Vmcore.EndsWith(".gz", StringComparison.Ordinal) || manifest.Files.Vmcore.EndsWith(".zst", StringComparison.Ordinal)
            || manifest.Files.Vmcore.StartsWith("vmcore_encrypted.", StringComparison.Ordinal)
            ? StoreCompression.None : options.Compression;

    /// <param name="manifest">The dump.</param>
    /// <param name="folder">Its folder in the store.</param>
    /// <param name="vmcore">Its file.</param>
    /// <param name="state">What was begun.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <param name="stored">What stands in the store; null where it is another node's by now.</param>
    /// <returns>False where the store does not know the upload any more.</returns>
    private bool TrySendVmcore(Manifest manifest, string folder, StoredFile vmcore, UploadState state, CancellationToken cancellation, out ManifestStored? stored)
    {
        stored = null;
        var begun = Continued(manifest, folder, vmcore, state) ?? Begin(manifest, folder, vmcore, state);
        string key = begun.Url[_location.UrlOf("").Length..];
        var seal = begun.SealHeader is byte[] header && begun.DataKey is byte[] dataKey ? (SealHeader.Parse(header), dataKey) : ((SealHeader, byte[])?)null;
        using var parts = new PartReader(vmcore.Handle, vmcore.LengthBytes, begun.PartBytes, begun.Compression, seal);
        // An upload that is not known any more has ended well where the object is there: then parts are made only to be compared with it.
        var arrived = store.PartsOf(key, begun.UploadId);
        if ((arrived is null && store.Head(key) is null) || SendParts(key, begun.UploadId, parts, arrived, vmcore.Name, cancellation) is not var (sent, tagOfParts))
            return false;

        var (fileHash, objectHash) = parts.Hashes();
        if (manifest.Sha256 is string expected && expected != fileHash)
            throw new StorageException($"{vmcore.Name}: has SHA-256 {fileHash}, the manifest says {expected}: it is not what was received and is not uploaded");
        // Nothing that is whole is replaced, also where the store knows no condition for it.
        if (FindStored(manifest, folder) is var (others, _) && IsThere(folder, others))
            return false;
        string? tag = arrived is null ? null : store.CompleteUpload(key, begun.UploadId, sent);
        var head = store.Head(key);
        // An answer that was lost on the way may have been that it is done.
        if (tag is null && head?.ETag != tagOfParts)
            return false;
        if (head is not { } found || found.ETag != (string.IsNullOrEmpty(tag) ? tagOfParts : tag))
            return true;
        long bytes = sent.Sum(part => part.LengthBytes);
        if (found.LengthBytes != bytes)
            throw new ObjectStoreException(StoreFailure.Checksum, $"{_location.UrlOf(key)}: has {found.LengthBytes} bytes, {bytes} were sent");
        stored = new(_location.UrlOf(folder), time.GetUtcNow(), key[folder.Length..], begun.Compression, seal is null ? StoreEncryption.None : StoreEncryption.Aes256Gcm, bytes, objectHash, found.ETag);
        return true;
    }

    /// <summary>The upload that was begun before, where it was begun as it would be now; else it is given up.</summary>
    private BegunUpload? Continued(Manifest manifest, string folder, StoredFile vmcore, UploadState state)
    {
        if (state.Begun is not { } begun)
            return null;
        var compression = CompressionOf(manifest);
        var keys = options.ReadKeys();
        bool isSame = begun.Url == UrlOf(manifest, folder, compression, keys.Count > 0) && begun.Compression == compression && begun.FileBytes == vmcore.LengthBytes && IsSealedFor(begun, keys);
        if (isSame)
            return begun;
        if (begun.Url.StartsWith(_location.UrlOf(""), StringComparison.Ordinal))
            store.AbortUpload(begun.Url[_location.UrlOf("").Length..], begun.UploadId);
        state.Clear();
        return null;
    }

    private static bool IsSealedFor(BegunUpload begun, IReadOnlyList<SealingKey> keys)
    {
        if (begun.SealHeader is null || begun.DataKey is null)
            return keys.Count == 0;
        try
        {
            return SealHeader.Parse(begun.SealHeader).Keys.Select(key => Convert.ToHexString(key.KeyId)).SequenceEqual(keys.Select(key => Convert.ToHexString(key.Id)));
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private BegunUpload Begin(Manifest manifest, string folder, StoredFile vmcore, UploadState state)
    {
        var keys = options.ReadKeys();
        var compression = CompressionOf(manifest);
        string url = UrlOf(manifest, folder, compression, keys.Count > 0);
        byte[]? dataKey = keys.Count > 0 ? RandomNumberGenerator.GetBytes(SealHeader.DataKeyBytes) : null;
        var begun = new BegunUpload
        {
            Version = UploadState.Version,
            Url = url,
            UploadId = store.BeginUpload(url[_location.UrlOf("").Length..]),
            PartBytes = PartReader.PartBytesFor(vmcore.LengthBytes),
            FileBytes = vmcore.LengthBytes,
            Compression = compression,
            SealHeader = dataKey is null ? null : SealHeader.Create(dataKey, keys).Bytes,
            DataKey = dataKey,
        };
        state.Write(begun);
        return begun;
    }

    private string UrlOf(Manifest manifest, string folder, StoreCompression compression, bool isSealed) => _location.UrlOf(folder + StoreObjects.Vmcore(manifest, compression, isSealed));

    /// <param name="key">The object.</param>
    /// <param name="uploadId">The upload.</param>
    /// <param name="parts">Makes the parts.</param>
    /// <param name="there">Those that have arrived; null where none are to be sent.</param>
    /// <param name="name">What errors call the file.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>All parts, and the tag that S3 gives an object of them; null where the store does not know the upload any more.</returns>
    private (List<UploadedPart> Parts, string Tag)? SendParts(string key, string uploadId, PartReader parts, IReadOnlyList<UploadedPart>? there, string name, CancellationToken cancellation)
    {
        var arrived = there?.ToDictionary(part => part.Number);
        var sent = new List<UploadedPart>();
        var md5s = new List<byte>();
        try
        {
            while (parts.Next() is { } part)
            {
                cancellation.ThrowIfCancellationRequested();
                int number = sent.Count + 1;
                byte[] md5 = Md5(part.Span);
                md5s.AddRange(md5);
                if (arrived is null)
                {
                    sent.Add(new(number, part.Length, ""));
                    continue;
                }

                if (arrived.TryGetValue(number, out var before) && before.LengthBytes == part.Length && before.ETag == Convert.ToHexStringLower(md5))
                {
                    sent.Add(before);
                    meter.PartReused(part.Length);
                    continue;
                }

                if (store.UploadPart(key, uploadId, number, part, md5) is not string eTag)
                    return null;
                sent.Add(new(number, part.Length, eTag));
                meter.PartSent(part.Length);
            }
        }
        catch (StorageException e)
        {
            throw new StorageException($"{name}: {e.Message}", e);
        }

        return (sent, string.Create(CultureInfo.InvariantCulture, $"{Convert.ToHexStringLower(Md5(CollectionsMarshal.AsSpan(md5s)))}-{sent.Count}"));
    }

    /// <summary>The checksum that every S3 server takes with a part (Content-MD5); it guards against accidents, the request's signature has SHA-256 besides.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Security", "CA5351", Justification = "What S3 asks for.")]
    private static byte[] Md5(ReadOnlySpan<byte> content) => MD5.HashData(content);

    private void SendSmall(string root, CatalogedDump dump, StoredFileKind kind, string key)
    {
        if (kind == StoredFileKind.Key && dump.KeyPath is null)
            return;
        StoredFile? file;
        try
        {
            file = StoredFile.Open(root, dump, kind);
        }
        catch (StorageException) when (!File.Exists(kind == StoredFileKind.Info ? dump.InfoPath : dump.KeyPath))
        {
            // Somebody took it away; the vmcore and the manifest are what there is.
            return;
        }

        using (file)
        {
            if (file is null)
                return;
            if (file.LengthBytes > MaxSmallBytes)
                throw new StorageException($"{file.Name}: {file.LengthBytes} bytes is too long for what it is");
            byte[] content = new byte[file.LengthBytes];
            int read = RandomAccess.Read(file.Handle, content, 0);
            _ = store.Put(key, content.AsMemory(0, read), replacing: null);
        }
    }

    /// <summary>Has the store's manifest agree with the vmcore that stands there.</summary>
    /// <returns>What the manifest says; null where another node's vmcore stands there and that node is to say so.</returns>
    private ManifestStored? PublishManifest(Manifest manifest, string folder, ManifestStored mine)
    {
        string key = folder + StoreObjects.Manifest;
        byte[] content = ManifestWriter.ToUtf8(manifest with { Stored = mine });
        if (!store.Put(key, content, replacing: null))
        {
            if (FindStored(manifest, folder) is not var (others, eTag))
                return null;
            if (IsThere(folder, others))
                return others;
            if (!store.Put(key, content, replacing: eTag))
                return null;
        }

        return IsThere(folder, mine) ? mine : null;
    }

    /// <summary>What a manifest in the store says of this dump; null where there is none.</summary>
    /// <exception cref="StorageException">It is one of another dump.</exception>
    private (ManifestStored Stored, string ETag)? FindStored(Manifest manifest, string folder)
    {
        string key = folder + StoreObjects.Manifest;
        if (store.ReadSmall(key, MaxManifestBytes) is not var (content, eTag))
            return null;
        var found = ManifestFile.Parse(_location.UrlOf(key), content);
        if (found.Id != manifest.Id || found.Bytes != manifest.Bytes || (found.Sha256 is string theirs && manifest.Sha256 is string ours && theirs != ours))
            throw new StorageException($"{_location.UrlOf(key)}: the store has another dump with the id {manifest.Id}; move one of them away");
        return found.Stored is { } stored ? (stored, eTag) : null;
    }

    private bool IsThere(string folder, ManifestStored stored) =>
        stored.Url == _location.UrlOf(folder) && store.Head(folder + stored.Vmcore) is { } head && head.LengthBytes == stored.Bytes && head.ETag == stored.ETag;

    /// <summary>Notes where the dump is stored, and gives up what attempts that broke off have left in the store.</summary>
    private void Finish(CatalogedDump dump, string folder, ManifestStored stored, UploadState state)
    {
        foreach (var left in store.Uploads(folder).ToArray())
            store.AbortUpload(left.Key, left.UploadId);
        if (File.Exists(dump.ManifestPath))
            ManifestFile.Update(dump.ManifestPath, manifest => manifest.Id == dump.Manifest.Id ? manifest with { Stored = stored } : manifest);
        state.Clear();
    }
}
