using System.Globalization;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Pages;

/// <summary>Times, sizes and counts as the pages say them. All times are UTC.</summary>
internal static class Words
{
    /// <summary>Beyond this a forecast says nothing.</summary>
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(30);

    /// <summary>How long ago something was, such as <c>12 min ago</c>.</summary>
    public static string Ago(DateTimeOffset then, DateTimeOffset now) => (now - then) switch
    {
        { TotalSeconds: < 2 } => "just now",
        { TotalMinutes: < 1 } ago => Text($"{(int)ago.TotalSeconds} s ago"),
        { TotalHours: < 1 } ago => Text($"{(int)ago.TotalMinutes} min ago"),
        { TotalDays: < 2 } ago => Text($"{(int)ago.TotalHours} h ago"),
        var ago => Text($"{(int)ago.TotalDays} days ago"),
    };

    /// <summary>How long something takes that nobody knows exactly, such as <c>about 2 min</c>; rounded up, because a promise that is too short annoys.</summary>
    public static string About(TimeSpan duration) => duration switch
    {
        { TotalSeconds: < 10 } => "a few seconds",
        { TotalSeconds: <= 50 } => Text($"about {Math.Ceiling(duration.TotalSeconds / 10) * 10:F0} s"),
        { TotalMinutes: <= 59 } => Text($"about {Math.Ceiling(duration.TotalMinutes):F0} min"),
        { TotalDays: < 2 } => Text($"about {Math.Ceiling(duration.TotalHours):F0} h"),
        _ when duration <= s_longest => Text($"about {Math.Ceiling(duration.TotalDays):F0} days"),
        _ => "more than a month",
    };

    /// <summary>How long something took or has lasted, such as <c>2 min 5 s</c>.</summary>
    public static string Took(TimeSpan duration) => duration switch
    {
        { TotalSeconds: < 10 } => Text($"{duration.TotalSeconds:F1} s"),
        { TotalMinutes: < 1 } => Text($"{(int)duration.TotalSeconds} s"),
        { TotalHours: < 1 } => Text($"{(int)duration.TotalMinutes} min {duration.Seconds} s"),
        { TotalDays: < 2 } => Text($"{(int)duration.TotalHours} h {duration.Minutes} min"),
        _ => Text($"{(int)duration.TotalDays} days"),
    };

    public static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    /// <summary>As HTML's <c>datetime</c> wants it.</summary>
    public static string IsoTime(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    public static string Size(double bytes) => ByteSize.Format(bytes);

    public static string Rate(double bytesPerSecond) => $"{ByteSize.Format(bytesPerSecond)}/s";

    /// <summary>A number and its noun, in the plural unless there is one: <c>2 dumps</c>.</summary>
    public static string Count(long count, string noun) => Text($"{count} {noun}{(count == 1 ? "" : "s")}");

    public static string Number(double number) => Text($"{number:F0}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
