namespace NetdumpCollector.Telemetry;

/// <summary>When a file system will be full if dumps go on arriving as they did lately.</summary>
/// <remarks>Thread-safe. Judges by the last <see cref="s_window"/>, from what it was told each time it was asked.</remarks>
internal sealed class RoomForecast(TimeProvider time)
{
    private static readonly TimeSpan s_window = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_least = TimeSpan.FromSeconds(10);

    private readonly Queue<(long At, long Written)> _seen = new([(time.GetTimestamp(), 0)]);

    /// <summary>Seconds until nothing is free; infinite while nothing arrives.</summary>
    /// <param name="freeBytes">What is free now.</param>
    /// <param name="writtenBytes">What has been written since the start.</param>
    public double SecondsToFull(long freeBytes, long writtenBytes)
    {
        lock (_seen)
        {
            long now = time.GetTimestamp();
            while (_seen.Count > 1 && time.GetElapsedTime(_seen.Peek().At, now) > s_window)
                _seen.Dequeue();
            var (at, written) = _seen.Peek();
            double seconds = Math.Max(time.GetElapsedTime(at, now).TotalSeconds, s_least.TotalSeconds);
            if (time.GetElapsedTime(_seen.Last().At, now) >= s_least)
                _seen.Enqueue((now, writtenBytes));
            double bytesPerSecond = (writtenBytes - written) / seconds;
            return bytesPerSecond > 0 ? freeBytes / bytesPerSecond : double.PositiveInfinity;
        }
    }
}
