using System.Globalization;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>The wall clock: dumps are dated, and deleted for their age, by it. Time zones play no part, all is UTC.</summary>
internal static partial class ClockCheck
{
    private const string Subject = "clock";

    /// <summary>The kernel's estimate grows to this and stays there when nobody corrects the clock; timedatectl judges by the same.</summary>
    private const long UnsynchronizedErrorUs = 16_000_000;

    private const int LastYear = 2100;

    public static IEnumerable<Finding> Look() => [Judge(DateTimeOffset.UtcNow, new DateTimeOffset(File.GetLastWriteTimeUtc(typeof(ClockCheck).Assembly.Location)), MaxErrorUs())];

    /// <param name="now">What the clock says.</param>
    /// <param name="builtAt">When this program was made: it cannot be earlier now.</param>
    /// <param name="maxErrorUs">The kernel's estimate of the greatest error, null where it does not tell.</param>
    public static Finding Judge(DateTimeOffset now, DateTimeOffset builtAt, long? maxErrorUs)
    {
        string utc = now.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        if (now < builtAt - TimeSpan.FromDays(1) || now.Year > LastYear)
        {
            return new(FindingLevel.Warning, Subject, $"says {utc}, which cannot be; dumps are dated, and with --retain-age deleted, by it",
                "timedatectl set-ntp true, or set it: date -u -s 'YYYY-MM-DD HH:MM:SS'");
        }

        return maxErrorUs switch
        {
            null => new(FindingLevel.LeftOut, Subject, $"says {utc}; whether it is synchronized the system does not tell here"),
            >= UnsynchronizedErrorUs => new(FindingLevel.Warning, Subject, $"says {utc} and is not synchronized; dumps are dated by it, no transfer depends on it", "timedatectl set-ntp true, or run chrony or another NTP client"),
            long error => new(FindingLevel.Ok, Subject, string.Create(CultureInfo.InvariantCulture, $"says {utc}, synchronized to within {error / 1000.0:F1} ms")),
        };
    }

    private static unsafe long? MaxErrorUs()
    {
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess)
            return null;
        // struct timex of 64-bit Linux: modes at word 0 (0 only asks), maxerror at word 3.
        const int TimexWords = 32, MaxErrorWord = 3;
        long* timex = stackalloc long[TimexWords];
        new Span<long>(timex, TimexWords).Clear();
        return adjtimex(timex) < 0 ? null : timex[MaxErrorWord];
    }

    [LibraryImport("libc")]
    private static unsafe partial int adjtimex(long* timex);
}
