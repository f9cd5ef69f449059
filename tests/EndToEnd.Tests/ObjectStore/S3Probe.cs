using System.Runtime.Versioning;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace NetdumpCollector.EndToEnd.Tests.ObjectStore;

/// <summary>Looks at a bucket beside the program, with its own client.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class S3Probe(Uri endpoint) : IDisposable
{
    private readonly AmazonS3Client _client = new(new BasicAWSCredentials(RadosGateway.AccessKey, RadosGateway.SecretKey), new AmazonS3Config
    {
        ServiceURL = endpoint.ToString(),
        AuthenticationRegion = "us-east-1",
        ForcePathStyle = true,
        RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
        ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
    });

    public Task MakeBucketAsync(string bucket) => _client.PutBucketAsync(bucket);

    /// <summary>Keys and lengths beneath a prefix.</summary>
    public IReadOnlyList<(string Key, long Bytes)> Objects(string prefix) =>
        [.. (_client.ListObjectsV2Async(new() { BucketName = RadosGateway.Bucket, Prefix = prefix }).GetAwaiter().GetResult().S3Objects ?? []).Select(found => (found.Key, found.Size ?? 0))];

    /// <summary>Uploads under way beneath a prefix.</summary>
    public IReadOnlyList<MultipartUpload> Uploads(string prefix) =>
        _client.ListMultipartUploadsAsync(new ListMultipartUploadsRequest { BucketName = RadosGateway.Bucket, Prefix = prefix }).GetAwaiter().GetResult().MultipartUploads ?? [];

    public void Dispose() => _client.Dispose();
}
