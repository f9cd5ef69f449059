using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Watch;

/// <summary>How fast each session is, from two looks at it.</summary>
internal sealed class SessionRates
{
    private Dictionary<(string Client, DateTime StartedAt), ulong> _bytes = [];
    private long? _lookedAt;

    /// <summary>Takes a new look; gives the sessions, those that arrive and the fastest first, with bytes per second since the look before (0 at the first).</summary>
    public IReadOnlyList<(SessionRow Session, double BytesPerSecond)> Take(IEnumerable<SessionRow> sessions, TimeProvider time)
    {
        long now = time.GetTimestamp();
        double seconds = _lookedAt is long before ? time.GetElapsedTime(before, now).TotalSeconds : 0;
        _lookedAt = now;
        var seen = _bytes;
        _bytes = [];
        var rates = new List<(SessionRow Session, double BytesPerSecond)>();
        foreach (var session in sessions)
        {
            var key = (session.Client, session.StartedAt);
            _bytes[key] = session.Bytes;
            ulong earlier = seen.TryGetValue(key, out ulong known) ? Math.Min(known, session.Bytes) : session.Bytes;
            rates.Add((session, seconds > 0 ? (session.Bytes - earlier) / seconds : 0));
        }

        return [.. rates.OrderBy(rate => rate.Session.Phase == "receiving" ? 0 : 1).ThenByDescending(rate => rate.BytesPerSecond).ThenBy(rate => rate.Session.StartedAt)];
    }
}
