using System.Globalization;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Telemetry;

/// <summary>What the system tells of this process.</summary>
/// <remarks>Source: proc(5). Where there is no /proc, the readings are null.</remarks>
internal static unsafe partial class ProcessReadings
{
    private const string OpenFiles = "Max open files";
    private const string Descriptors = "/proc/self/fd";

    // struct statx: 256 bytes, stx_size at byte 40.
    private const int StatxBytes = 256;
    private const int StatxSizeAt = 40;
    private const uint StatxSizeMask = 0x200;
    private const int AtWorkingDirectory = -100;

    public static double CpuSeconds => Environment.CpuUsage.TotalTime.TotalSeconds;

    public static long ResidentBytes => Environment.WorkingSet;

    public static DateTimeOffset StartedAt { get; } = System.Diagnostics.Process.GetCurrentProcess().StartTime;

    /// <remarks>Since 6.2 Linux tells their number as the directory's size; listing it takes 8 us for each, as long as a thousand sessions take to be looked at.</remarks>
    public static long? OpenDescriptors => Read(() => SizeOf(Descriptors) is > 0 and var size ? size : Directory.EnumerateFileSystemEntries(Descriptors).LongCount());

    public static long? MaxDescriptors => Read(() => long.Parse(
        File.ReadLines("/proc/self/limits").First(line => line.StartsWith(OpenFiles, StringComparison.Ordinal))[OpenFiles.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0],
        NumberStyles.None, CultureInfo.InvariantCulture));

    private static long SizeOf(string path)
    {
        byte* status = stackalloc byte[StatxBytes];
        try
        {
            return statx(AtWorkingDirectory, path, flags: 0, StatxSizeMask, status) == 0 ? *(long*)(status + StatxSizeAt) : 0;
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException)
        {
            // An older C library.
            return 0;
        }
    }

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

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int directory, string path, int flags, uint mask, byte* status);
}
