namespace NetdumpCollector.Collector.Pages;

/// <summary>Room on the dump directory's file system.</summary>
/// <param name="FreeBytes">What is free.</param>
/// <param name="TotalBytes">How large it is.</param>
/// <param name="WantedBytes">What has to stay free by <c>--min-free</c>, 0 for nothing.</param>
/// <param name="MinFree">That setting, null where nothing has to stay free.</param>
/// <param name="SecondsToFull">When nothing is free if dumps go on arriving as they did lately; infinite while nothing arrives.</param>
public sealed record RoomView(long FreeBytes, long TotalBytes, long WantedBytes, string? MinFree, double SecondsToFull)
{
    public long UsedBytes => Math.Max(0, TotalBytes - FreeBytes);

    public int UsedPercent => TotalBytes > 0 ? (int)(100.0 * UsedBytes / TotalBytes) : 0;

    public bool IsShort => FreeBytes < WantedBytes;

    /// <summary>Until less is free than has to stay free; null while nothing arrives, or where that is so already.</summary>
    public TimeSpan? TimeLeft => double.IsFinite(SecondsToFull) && FreeBytes > WantedBytes
        ? TimeSpan.FromSeconds(Math.Min(SecondsToFull * (FreeBytes - WantedBytes) / FreeBytes, TimeSpan.MaxValue.TotalSeconds / 2)) : null;
}
