using NetdumpCollector.Actors.Sessions;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>Sessions whose herald no data has followed yet, in the order of their heralds.</summary>
internal sealed class HalfOpenSessions
{
    /// <summary>So many that are over may stand in the queue beside each that is not.</summary>
    private const int Slack = 64;

    private readonly Queue<SessionRoute> _byAge = new();

    /// <summary>Sessions that are neither followed by data nor gone.</summary>
    public int Count { get; private set; }

    /// <summary>What is remembered, with those that are over.</summary>
    internal int Remembered => _byAge.Count;

    public void Add(SessionRoute session)
    {
        Count++;
        _byAge.Enqueue(session);
    }

    /// <summary>One of them has data now, or is gone.</summary>
    public void Remove()
    {
        Count--;
        // One that repeats its herald for ever must not keep all that came after it.
        if (_byAge.Count <= 2 * Count + Slack)
            return;
        for (int left = _byAge.Count; left > 0; left--)
        {
            var session = _byAge.Dequeue();
            if (IsHalfOpen(session))
                _byAge.Enqueue(session);
        }
    }

    /// <summary>The one whose herald came first, which is not looked at again; null when there is none.</summary>
    public SessionRoute? TakeOldest()
    {
        while (_byAge.TryDequeue(out var oldest))
        {
            if (IsHalfOpen(oldest))
                return oldest;
        }

        return null;
    }

    private static bool IsHalfOpen(SessionRoute session) => session is { HasData: false, HasStopped: false };
}
