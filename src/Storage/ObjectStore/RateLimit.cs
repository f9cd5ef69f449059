namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>A token bucket for all who send: bytes a second, with a tenth of a second in hand. Thread-safe; sans-I/O.</summary>
/// <param name="bytesPerSecond">The limit.</param>
/// <param name="time">The clock.</param>
public sealed class RateLimit(long bytesPerSecond, TimeProvider time)
{
    private const double BurstSeconds = 0.1;

    private readonly Lock _gate = new();
    private long _asOf = time.GetTimestamp();
    private double _tokens = bytesPerSecond * BurstSeconds;

    /// <summary>Takes <paramref name="bytes"/>, if need be of the future.</summary>
    /// <returns>How long to wait before they are sent.</returns>
    public TimeSpan Take(int bytes)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            _tokens = Math.Min(bytesPerSecond * BurstSeconds, _tokens + (time.GetElapsedTime(_asOf, now).TotalSeconds * bytesPerSecond)) - bytes;
            _asOf = now;
            return _tokens >= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(-_tokens / bytesPerSecond);
        }
    }
}
