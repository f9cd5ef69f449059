using NetdumpCollector.Collector.Http;

namespace NetdumpCollector.Collector.Pages;

/// <summary>Who is dumping, as pages show it: looked at once a second at most, however many pages are open.</summary>
internal sealed class SessionBoard(Func<Task<IEnumerable<SessionRow>>> look, TimeProvider time)
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromMilliseconds(900);

    private readonly Lock _gate = new();
    private readonly SessionPace _pace = new(time);
    private Task<SessionsView>? _look;
    private long _begunAt;

    /// <summary>All sessions, as they were at most a second ago.</summary>
    public Task<SessionsView> LookAsync()
    {
        lock (_gate)
        {
            if (_look is null || (_look.IsCompleted && time.GetElapsedTime(_begunAt) >= s_freshness))
            {
                _begunAt = time.GetTimestamp();
                _look = LookAgainAsync();
            }

            return _look;
        }
    }

    /// <summary>One at a time.</summary>
    private async Task<SessionsView> LookAgainAsync()
    {
        var sessions = await look().ConfigureAwait(false);
        return SessionsView.Of(_pace.Take(sessions).Select(rate => SessionView.Of(rate.Session, rate.BytesPerSecond)));
    }
}
