namespace NetdumpCollector.Telemetry;

/// <summary>When a file system will be full if dumps go on arriving as they did lately.</summary>
/// <remarks>Thread-safe. Judges by the last <see cref="s_window"/>, from what <see cref="Note"/> was told, whether anybody asks or not.</remarks>
internal sealed class RoomForecast(TimeProvider time)
{
    private static readonly TimeSpan s_window = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_least = TimeSpan.FromSeconds(10);

    private readonly Queue<(long At, long Written)> _seen = new([(time.GetTimestamp(), 0)]);
    private long _lastAt = time.GetTimestamp();

    /// <summary>Notes what has been written since the start; told each second, it keeps one in ten.</summary>
    public void Note(long writtenBytes)
    {
        lock (_seen)
        {
            long now = time.GetTimestamp();
            if (time.GetElapsedTime(_lastAt, now) < s_least)
                return;
            _lastAt = now;
            _seen.Enqueue((now, writtenBytes));
            while (_seen.Count > 1 && time.GetElapsedTime(_seen.Peek().At, now) > s_window)
                _seen.Dequeue();
        }
    }

    /// <summary>Seconds until nothing is free; infinite while nothing arrives.</summary>
    /// <param name="freeBytes">What is free now.</param>
    /// <param name="writtenBytes">What has been written since the start.</param>
    public double SecondsToFull(long freeBytes, long writtenBytes)
    {
        lock (_seen)
        {
            var (at, written) = _seen.Peek();
            double seconds = Math.Max(time.GetElapsedTime(at).TotalSeconds, s_least.TotalSeconds);
            double bytesPerSecond = (writtenBytes - written) / seconds;
            return bytesPerSecond > 0 ? freeBytes / bytesPerSecond : double.PositiveInfinity;
        }
    }
}
