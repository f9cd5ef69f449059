using System.Net;
using Amazon;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>A bucket of a store that speaks S3. Thread-safe.</summary>
/// <remarks>
/// Only this type and those it names know Amazon's library, which is therefore loaded when a store is used and not before. What older servers than Amazon's do not know is not used: checksums in trailers, which the library
/// adds by itself, are refused by radosgw 16.2; parts carry Content-MD5 and a signature over their SHA-256 instead. radosgw 16.2 knows If-None-Match when an object is put, not when an upload is completed, and says no tag then.
/// </remarks>
public sealed class S3ObjectStore : IObjectStore
{
    private readonly StoreLocation _location;
    private readonly BlockingHttp _http;
    private readonly AmazonS3Client _client;
    private readonly CancellationToken _cancellation;

    /// <param name="options">Which store.</param>
    /// <param name="time">The clock that limits how fast is sent.</param>
    /// <param name="cancellation">Ends every call.</param>
    /// <exception cref="ObjectStoreException">The settings name no store.</exception>
    public S3ObjectStore(StoreOptions options, TimeProvider time, CancellationToken cancellation)
    {
        _location = options.Location;
        _cancellation = cancellation;
        _http = new(options.BytesPerSecond is long rate ? new(rate, time) : null);
        var config = new AmazonS3Config
        {
            ForcePathStyle = options.PathStyle,
            HttpClientFactory = _http,
            // Who waits, and how long, is decided where the whole is known (StoreHealth).
            MaxErrorRetry = 0,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        };
        if (options.Endpoint is { } endpoint)
        {
            config.ServiceURL = endpoint.ToString();
            config.AuthenticationRegion = options.Region ?? "us-east-1";
        }
        else if (options.Region is string region)
        {
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(region);
        }

        try
        {
            _client = new(config);
        }
        catch (AmazonClientException e)
        {
            _http.Dispose();
            throw new ObjectStoreException(StoreFailure.Other, $"{_location}: {FirstLine(e.Message)}; name the region with --store-region, or the store with --store-endpoint", e);
        }
    }

    public void Probe() => _ = Do("looking at it", () => _client.ListObjectsV2Async(new() { BucketName = _location.Bucket, Prefix = _location.Prefix, MaxKeys = 1 }, _cancellation));

    public ObjectHead? Head(string key)
    {
        var found = Do($"looking at {key}", () => _client.GetObjectMetadataAsync(new GetObjectMetadataRequest { BucketName = _location.Bucket, Key = key }, _cancellation), IsMissing);
        return found is null ? null : new(found.ContentLength, Tag(found.ETag));
    }

    public (byte[] Content, string ETag)? ReadSmall(string key, long maxBytes)
    {
        using var found = Do($"reading {key}", () => _client.GetObjectAsync(new GetObjectRequest { BucketName = _location.Bucket, Key = key }, _cancellation), IsMissing);
        if (found is null)
            return null;
        if (found.ContentLength > maxBytes)
            throw new ObjectStoreException(StoreFailure.Other, $"{_location.UrlOf(key)}: {found.ContentLength} bytes is too long for what it is");
        byte[] content = new byte[found.ContentLength];
        Guard($"reading {key}", () => found.ResponseStream.ReadExactly(content));
        return (content, Tag(found.ETag));
    }

    public Stream Read(string key, long offset, string eTag)
    {
        var request = new GetObjectRequest { BucketName = _location.Bucket, Key = key, EtagToMatch = Quoted(eTag) };
        if (offset > 0)
            request.ByteRange = new($"bytes={offset}-");
        var found = Do($"reading {key}", () => _client.GetObjectAsync(request, _cancellation))!;
        if (offset > 0 && found.HttpStatusCode != HttpStatusCode.PartialContent)
            throw new ObjectStoreException(StoreFailure.Other, $"{_location.UrlOf(key)}: the store gives the whole object where a part was asked for");
        return new ExplainingStream(this, key, found);
    }

    // radosgw 16.2 compares If-Match of a PUT letter by letter with the tag without its quotes; Amazon's tags have them. Either way the condition holds.
    public bool Put(string key, ReadOnlyMemory<byte> content, string? replacing) =>
        TryPut(key, content, replacing is null ? null : Quoted(replacing)) || (replacing is not null && TryPut(key, content, replacing));

    private bool TryPut(string key, ReadOnlyMemory<byte> content, string? ifMatch)
    {
        using var body = Over(content);
        var request = new PutObjectRequest { BucketName = _location.Bucket, Key = key, InputStream = body, AutoCloseStream = false, UseChunkEncoding = false };
        if (ifMatch is null)
            request.IfNoneMatch = "*";
        else
            request.IfMatch = ifMatch;
        return Do($"writing {key}", () => _client.PutObjectAsync(request, _cancellation), IsRefused) is not null;
    }

    public void Delete(string key) => _ = Do($"removing {key}", () => _client.DeleteObjectAsync(new DeleteObjectRequest { BucketName = _location.Bucket, Key = key }, _cancellation), IsMissing);

    public string BeginUpload(string key) =>
        Do($"writing {key}", () => _client.InitiateMultipartUploadAsync(new() { BucketName = _location.Bucket, Key = key }, _cancellation))!.UploadId;

    public string? UploadPart(string key, string uploadId, int number, ReadOnlyMemory<byte> content, byte[] md5)
    {
        using var body = Over(content);
        var request = new UploadPartRequest
        {
            BucketName = _location.Bucket,
            Key = key,
            UploadId = uploadId,
            PartNumber = number,
            InputStream = body,
            PartSize = content.Length,
            MD5Digest = Convert.ToBase64String(md5),
            UseChunkEncoding = false,
        };
        return Do($"writing part {number} of {key}", () => _client.UploadPartAsync(request, _cancellation), IsMissing) is { } sent ? Tag(sent.ETag) : null;
    }

    public IReadOnlyList<UploadedPart>? PartsOf(string key, string uploadId)
    {
        var parts = new List<UploadedPart>();
        string? marker = null;
        do
        {
            var request = new ListPartsRequest { BucketName = _location.Bucket, Key = key, UploadId = uploadId, PartNumberMarker = marker };
            if (Do($"looking at the parts of {key}", () => _client.ListPartsAsync(request, _cancellation), IsMissing) is not { } listed)
                return null;
            parts.AddRange((listed.Parts ?? []).Select(part => new UploadedPart(part.PartNumber ?? 0, part.Size ?? 0, Tag(part.ETag))));
            marker = listed.IsTruncated == true ? listed.NextPartNumberMarker?.ToString(System.Globalization.CultureInfo.InvariantCulture) : null;
        }
        while (marker is not null);

        return parts;
    }

    public string? CompleteUpload(string key, string uploadId, IReadOnlyList<UploadedPart> parts)
    {
        var request = new CompleteMultipartUploadRequest
        {
            BucketName = _location.Bucket,
            Key = key,
            UploadId = uploadId,
            PartETags = [.. parts.Select(part => new PartETag(part.Number, Quoted(part.ETag)))],
        };
        return Do($"completing {key}", () => _client.CompleteMultipartUploadAsync(request, _cancellation), e => IsMissing(e) || e.ErrorCode == "InvalidPart") is { } done ? Tag(done.ETag) : null;
    }

    public void AbortUpload(string key, string uploadId) =>
        _ = Do($"giving up an upload of {key}", () => _client.AbortMultipartUploadAsync(new() { BucketName = _location.Bucket, Key = key, UploadId = uploadId }, _cancellation), IsMissing);

    public IEnumerable<ListedUpload> Uploads(string prefix)
    {
        string? keyMarker = null, idMarker = null;
        do
        {
            var request = new ListMultipartUploadsRequest { BucketName = _location.Bucket, Prefix = prefix, KeyMarker = keyMarker, UploadIdMarker = idMarker };
            var listed = Do("looking for uploads under way", () => _client.ListMultipartUploadsAsync(request, _cancellation))!;
            foreach (var upload in listed.MultipartUploads ?? [])
                yield return new(upload.Key, upload.UploadId, upload.Initiated is { } at ? new(at.ToUniversalTime()) : DateTimeOffset.MaxValue);
            (keyMarker, idMarker) = listed.IsTruncated == true ? (listed.NextKeyMarker, listed.NextUploadIdMarker) : (null, null);
        }
        while (keyMarker is not null);
    }

    public IEnumerable<string> Keys(string prefix)
    {
        string? more = null;
        do
        {
            var request = new ListObjectsV2Request { BucketName = _location.Bucket, Prefix = prefix, ContinuationToken = more };
            var listed = Do("listing it", () => _client.ListObjectsV2Async(request, _cancellation))!;
            foreach (var found in listed.S3Objects ?? [])
                yield return found.Key;
            more = listed.IsTruncated == true ? listed.NextContinuationToken : null;
        }
        while (more is not null);
    }

    public void Dispose()
    {
        _client.Dispose();
        _http.Dispose();
    }

    /// <summary>Calls the store on this thread.</summary>
    /// <param name="what">What is done, in words.</param>
    /// <param name="call">Does it.</param>
    /// <param name="isAnswer">Tells which errors are answers: then the result is null.</param>
    private T? Do<T>(string what, Func<Task<T>> call, Func<AmazonS3Exception, bool>? isAnswer = null)
        where T : class
    {
        try
        {
            return call().GetAwaiter().GetResult();
        }
        catch (AmazonS3Exception e) when (isAnswer?.Invoke(e) == true)
        {
            return null;
        }
        catch (Exception e) when (e is not ObjectStoreException)
        {
            throw Explain(what, e);
        }
    }

    private void Guard(string what, Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is not ObjectStoreException)
        {
            throw Explain(what, e);
        }
    }

    private Exception Explain(string what, Exception e)
    {
        if (e is OperationCanceledException && _cancellation.IsCancellationRequested)
            return new OperationCanceledException(_cancellation);
        var (failure, reason, advice) = StoreErrors.Explain(e);
        return new ObjectStoreException(failure, $"{_location} {what}: {reason}{(advice is null ? "" : $"; {advice}")}", e);
    }

    private static bool IsMissing(AmazonS3Exception e) => e.StatusCode == HttpStatusCode.NotFound && e.ErrorCode != "NoSuchBucket";

    private static bool IsRefused(AmazonS3Exception e) => e.StatusCode == HttpStatusCode.PreconditionFailed || e.ErrorCode == "ConditionalRequestConflict";

    private static string Tag(string? eTag) => (eTag ?? "").Trim('"');

    private static string Quoted(string eTag) => $"\"{eTag}\"";

    private static string FirstLine(string text) => text.AsSpan()[..(text.IndexOfAny(['\r', '\n']) is >= 0 and var end ? end : text.Length)].ToString();

    private static MemoryStream Over(ReadOnlyMemory<byte> content) =>
        System.Runtime.InteropServices.MemoryMarshal.TryGetArray(content, out var array) ? new(array.Array!, array.Offset, array.Count, writable: false) : new(content.ToArray(), writable: false);

    /// <summary>An object's content whose errors are in our words.</summary>
    private sealed class ExplainingStream(S3ObjectStore store, string key, GetObjectResponse response) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = 0;
            store.Guard($"reading {key}", () => read = response.ResponseStream.Read(buffer, offset, count));
            return read;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                response.Dispose();
            base.Dispose(disposing);
        }
    }
}
