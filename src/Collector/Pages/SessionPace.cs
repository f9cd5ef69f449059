using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Pages;

/// <summary>How fast each session has been during the last seconds, from looks at it; from its start on where it was not looked at lately.</summary>
internal sealed class SessionPace(TimeProvider time)
{
    /// <summary>Long enough that the time left does not jump, short enough that a host that becomes slow is seen.</summary>
    private static readonly TimeSpan s_window = TimeSpan.FromSeconds(10);

    private Dictionary<(string Client, DateTime StartedAt), Queue<(long At, ulong Bytes)>> _seen = [];

    /// <summary>Takes a new look.</summary>
    public IReadOnlyList<(SessionRow Session, double BytesPerSecond)> Take(IEnumerable<SessionRow> sessions)
    {
        long now = time.GetTimestamp();
        var clock = time.GetUtcNow();
        var before = _seen;
        _seen = [];
        var rates = new List<(SessionRow, double)>();
        foreach (var session in sessions)
        {
            var key = (session.Client, session.StartedAt);
            var looks = before.GetValueOrDefault(key) ?? new();
            looks.Enqueue((now, session.Bytes));
            while (looks.Count > 1 && time.GetElapsedTime(looks.Peek().At, now) > s_window)
                looks.Dequeue();
            _seen[key] = looks;
            var (at, bytes) = looks.Peek();
            rates.Add((session, looks.Count > 1
                ? Rate(session.Bytes - Math.Min(bytes, session.Bytes), time.GetElapsedTime(at, now))
                : Rate(session.Bytes, clock - session.StartedAt)));
        }

        return rates;
    }

    private static double Rate(ulong bytes, TimeSpan during) => during > TimeSpan.Zero ? bytes / during.TotalSeconds : 0;
}
