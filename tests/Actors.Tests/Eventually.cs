using System.Diagnostics;

namespace NetdumpCollector.Actors.Tests;

/// <summary>Waits for what other threads bring about and nothing announces: files, counters, sockets.</summary>
internal static class Eventually
{
    /// <summary>How long a test waits for what must happen; only a failing test waits that long.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(5);

    /// <param name="condition">What must come true.</param>
    /// <param name="what">The same in words.</param>
    /// <param name="patience">For what may rightly take longer than <see cref="Deadline"/>.</param>
    public static Task Holds(Func<bool> condition, string what, TimeSpan? patience = null) => Gets(() => condition() ? what : null, what, patience);

    /// <summary>The first result that is not null.</summary>
    public static async Task<T> Gets<T>(Func<T?> find, string what, TimeSpan? patience = null)
        where T : class
    {
        var deadline = patience ?? Deadline;
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            if (find() is T found)
                return found;
            Assert.True(Stopwatch.GetElapsedTime(start) < deadline, $"not within {deadline}: {what}");
            await Task.Delay(s_interval);
        }
    }
}
