using System.Globalization;
using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Watch;

/// <summary>How far a session is, in words for tables.</summary>
internal static class SessionProgress
{
    private const string Unknown = "-";

    /// <summary>Percent of the whole dump, rounded down, so that 100 % is all of it.</summary>
    public static string PercentOf(SessionRow session) => session.ExpectedBytes is > 0 and ulong expected
        ? string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(100.0 * session.Bytes / expected)} %")
        : Unknown;

    /// <summary>Time until the rest of the dump has come, at so many bytes per second.</summary>
    public static string TimeLeftOf(SessionRow session, double bytesPerSecond)
    {
        if (session.Phase != SessionPhases.Receiving || session.ExpectedBytes is not ulong expected || bytesPerSecond < 1)
            return Unknown;

        double seconds = Math.Ceiling((expected - Math.Min(expected, session.Bytes)) / bytesPerSecond);
        if (seconds >= TimeSpan.FromDays(1).TotalSeconds)
            return "> 1 day";
        var left = TimeSpan.FromSeconds(seconds);
        return left.ToString(left.TotalHours >= 1 ? @"h\:mm\:ss" : @"m\:ss", CultureInfo.InvariantCulture);
    }
}
