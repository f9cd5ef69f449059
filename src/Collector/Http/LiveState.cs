using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Sessions;

namespace NetdumpCollector.Collector.Http;

/// <summary>Looks at the event loops' sessions for those who watch: at most a few times a second, however many ask.</summary>
/// <remarks>Thread-safe. A loop that does not answer in time is shown as it was last.</remarks>
internal sealed class LiveState(IngressGroup ingresses, TimeProvider time)
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(250);
    private static readonly IngressStatus s_nothing = new([], 0, 0);

    private readonly Lock _gate = new();
    private readonly Dictionary<int, IngressStatus> _last = [];
    private long? _lookedAt;

    /// <summary>All sessions of all loops.</summary>
    public IReadOnlyList<SessionStatus> Sessions => [.. Look().SelectMany(ingress => ingress.Sessions)];

    /// <summary>Every loop's ingress, as it was at most a quarter of a second ago.</summary>
    public IReadOnlyList<IngressStatus> Look()
    {
        lock (_gate)
        {
            if (_lookedAt is not long lookedAt || time.GetElapsedTime(lookedAt) >= s_freshness)
                LookAgain();
            return [.. _last.Values];
        }
    }

    private void LookAgain()
    {
        Task<IngressStatus>[] looks = [.. ingresses.Members.Select(ingress => ingress.Ask<IngressStatus>(reply => new IngressActor.Look(reply), s_patience))];
        _ = Task.WhenAll(looks).ContinueWith(_ => { }, TaskScheduler.Default).Wait(s_patience + s_patience);
        for (int loop = 0; loop < looks.Length; loop++)
            _last[loop] = looks[loop].IsCompletedSuccessfully ? looks[loop].Result : _last.GetValueOrDefault(loop, s_nothing);
        _lookedAt = time.GetTimestamp();
    }
}
