using System.Globalization;

namespace NetdumpCollector.Telemetry;

/// <summary>What the system tells of this process.</summary>
/// <remarks>Source: proc(5). Where there is no /proc, the readings are null.</remarks>
internal static class ProcessReadings
{
    private const string OpenFiles = "Max open files";

    public static double CpuSeconds => Environment.CpuUsage.TotalTime.TotalSeconds;

    public static long ResidentBytes => Environment.WorkingSet;

    public static DateTimeOffset StartedAt { get; } = System.Diagnostics.Process.GetCurrentProcess().StartTime;

    public static long? OpenDescriptors => Read(() => Directory.EnumerateFileSystemEntries("/proc/self/fd").LongCount());

    public static long? MaxDescriptors => Read(() => long.Parse(
        File.ReadLines("/proc/self/limits").First(line => line.StartsWith(OpenFiles, StringComparison.Ordinal))[OpenFiles.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0],
        NumberStyles.None, CultureInfo.InvariantCulture));

    private static long? Read(Func<long> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or InvalidOperationException)
        {
            return null;
        }
    }
}
