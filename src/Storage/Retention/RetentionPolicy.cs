namespace NetdumpCollector.Storage;

/// <summary>How much is kept; what is null has no limit.</summary>
public sealed record RetentionPolicy
{
    /// <summary>Dumps that started longer ago may go.</summary>
    public TimeSpan? MaxAge { get; init; }

    /// <summary>Dumps of a host may go that so many of the same host have followed.</summary>
    public int? MaxPerHost { get; init; }

    /// <summary>Bytes that ended dumps may take in all; the oldest go first.</summary>
    public long? MaxTotalBytes { get; init; }

    /// <summary>Everything is kept.</summary>
    public bool IsOff => MaxAge is null && MaxPerHost is null && MaxTotalBytes is null;
}
