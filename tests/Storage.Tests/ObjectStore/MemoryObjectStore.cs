using System.Security.Cryptography;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Tests.ObjectStore;

/// <summary>A store in memory that behaves as S3 does, with what a test wants to go wrong.</summary>
internal sealed class MemoryObjectStore : IObjectStore
{
    private readonly Dictionary<string, (string Key, SortedDictionary<int, byte[]> Parts)> _uploads = [];
    private readonly Dictionary<string, string> _tags = [];
    private int _lastUpload;

    public SortedDictionary<string, byte[]> Objects { get; } = new(StringComparer.Ordinal);

    public IEnumerable<string> RunningUploads => _uploads.Keys;

    public int PartsSent { get; private set; }

    /// <summary>Called before each call, with its name.</summary>
    public Action<string>? Before { get; set; }

    public void Probe() => Before?.Invoke(nameof(Probe));

    public ObjectHead? Head(string key)
    {
        Before?.Invoke(nameof(Head));
        return Objects.TryGetValue(key, out byte[]? content) ? new(content.Length, TagAt(key)) : null;
    }

    public (byte[] Content, string ETag)? ReadSmall(string key, long maxBytes)
    {
        Before?.Invoke(nameof(ReadSmall));
        return Objects.TryGetValue(key, out byte[]? content) ? (content, TagAt(key)) : null;
    }

    public Stream Read(string key, long offset, string eTag)
    {
        Before?.Invoke(nameof(Read));
        byte[] content = Objects[key];
        return TagAt(key) == eTag ? new MemoryStream(content[(int)offset..]) : throw new ObjectStoreException(StoreFailure.Other, "has changed");
    }

    public bool Put(string key, ReadOnlyMemory<byte> content, string? replacing)
    {
        Before?.Invoke(nameof(Put));
        if ((Objects.ContainsKey(key) ? TagAt(key) : null) != replacing)
            return false;
        _tags.Remove(key);
        Objects[key] = content.ToArray();
        return true;
    }

    public void Delete(string key) => Objects.Remove(key);

    public string BeginUpload(string key)
    {
        Before?.Invoke(nameof(BeginUpload));
        string id = $"u{++_lastUpload}";
        _uploads[id] = (key, []);
        return id;
    }

    public string? UploadPart(string key, string uploadId, int number, ReadOnlyMemory<byte> content, byte[] md5)
    {
        Before?.Invoke(nameof(UploadPart));
        if (!_uploads.TryGetValue(uploadId, out var upload))
            return null;
        Assert.Equal(upload.Key, key);
        Assert.Equal(TagOf(content.ToArray()), Convert.ToHexStringLower(md5));
        upload.Parts[number] = content.ToArray();
        PartsSent++;
        return Convert.ToHexStringLower(md5);
    }

    public IReadOnlyList<UploadedPart>? PartsOf(string key, string uploadId)
    {
        Before?.Invoke(nameof(PartsOf));
        return _uploads.TryGetValue(uploadId, out var upload)
            ? [.. upload.Parts.Select(part => new UploadedPart(part.Key, part.Value.Length, TagOf(part.Value)))] : null;
    }

    public string? CompleteUpload(string key, string uploadId, IReadOnlyList<UploadedPart> parts)
    {
        Before?.Invoke(nameof(CompleteUpload));
        if (!_uploads.Remove(uploadId, out var upload))
            return null;
        Assert.Equal(upload.Parts.Keys, parts.Select(part => part.Number));
        Objects[key] = [.. upload.Parts.Values.SelectMany(part => part)];
        return _tags[key] = $"{TagOf([.. upload.Parts.Values.SelectMany(part => Convert.FromHexString(TagOf(part)))])}-{upload.Parts.Count}";
    }

    public void AbortUpload(string key, string uploadId)
    {
        Before?.Invoke(nameof(AbortUpload));
        _uploads.Remove(uploadId);
    }

    public IEnumerable<ListedUpload> Uploads(string prefix)
    {
        Before?.Invoke(nameof(Uploads));
        return [.. _uploads.Where(upload => upload.Value.Key.StartsWith(prefix, StringComparison.Ordinal)).Select(upload => new ListedUpload(upload.Value.Key, upload.Key, DateTimeOffset.UnixEpoch))];
    }

    public IEnumerable<string> Keys(string prefix) => [.. Objects.Keys.Where(key => key.StartsWith(prefix, StringComparison.Ordinal))];

    /// <summary>Forgets all uploads, as a store does that was told to.</summary>
    public void LoseUploads() => _uploads.Clear();

    public void Dispose()
    {
    }

    /// <summary>Of what was sent in parts the tag is another than of what was not, as in S3.</summary>
    private string TagAt(string key) => _tags.TryGetValue(key, out string? tag) ? tag : TagOf(Objects[key]);

    [System.Diagnostics.CodeAnalysis.SuppressMessage("Security", "CA5351", Justification = "What S3 tags objects with.")]
    internal static string TagOf(byte[] content) => Convert.ToHexStringLower(MD5.HashData(content));
}
