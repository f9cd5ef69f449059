namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>Where dumps are stored besides, and how.</summary>
public sealed record StoreOptions
{
    public required StoreLocation Location { get; init; }

    /// <summary>The store's own address; null for Amazon's of the region.</summary>
    public Uri? Endpoint { get; init; }

    /// <summary>Null for what AWS_REGION, the shared file or the instance say, or us-east-1 with an endpoint.</summary>
    public string? Region { get; init; }

    /// <summary>The bucket stands in the path of requests, not in the host name.</summary>
    public bool PathStyle { get; init; }

    public StoreCompression Compression { get; init; }

    /// <summary>File with the secret that data keys are wrapped with; null for none.</summary>
    public string? KeyFile { get; init; }

    /// <summary>PEM file with the RSA public key that data keys are wrapped with; null for none.</summary>
    public string? PublicKeyFile { get; init; }

    /// <summary>Most bytes a second that are sent, by all uploads together; null for no limit.</summary>
    public long? BytesPerSecond { get; init; }

    /// <summary>Dumps that are sent at the same time.</summary>
    public int Concurrency { get; init; } = 2;

    /// <summary>What would keep every upload from working, as far as it can be told without the store.</summary>
    /// <exception cref="StorageException">A key file cannot be used, or the library for the compression is missing.</exception>
    public void Check()
    {
        _ = ReadKeys();
        BlockCompressor.Create(Compression)?.Dispose();
    }

    /// <summary>Whom dumps are encrypted for; empty where they are not.</summary>
    internal IReadOnlyList<SealingKey> ReadKeys() =>
        [.. KeyFile is string secret ? [SealingKey.FromSecretFile(secret)] : Array.Empty<SealingKey>(), .. PublicKeyFile is string pem ? [SealingKey.FromPublicKeyFile(pem)] : Array.Empty<SealingKey>()];
}
