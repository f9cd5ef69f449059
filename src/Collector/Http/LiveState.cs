using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;

namespace NetdumpCollector.Collector.Http;

/// <summary>Looks at the event loops' sessions for those who watch: at most a few times a second, and once at a time, however many ask.</summary>
/// <remarks>Thread-safe. A loop that does not answer in time is shown as it was last.</remarks>
/// <param name="loops">Every loop's ingress.</param>
/// <param name="time">The clock.</param>
internal sealed class LiveState(IEnumerable<ActorRef<IngressActor.Message>> loops, TimeProvider time)
{
    private static readonly TimeSpan s_freshness = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(250);
    private static readonly IngressStatus s_nothing = new([], 0, 0);

    private readonly Lock _gate = new();
    private readonly ActorRef<IngressActor.Message>[] _loops = [.. loops];
    private Task<IReadOnlyList<IngressStatus>>? _look;
    private IReadOnlyList<IngressStatus>? _last;
    private long _lookedAt;

    /// <summary>All sessions of all loops; see <see cref="Look"/>.</summary>
    public IReadOnlyList<SessionStatus> Sessions => SessionsOf(Look());

    /// <summary>All sessions of all loops, as they were at most a quarter of a second ago.</summary>
    public async Task<IReadOnlyList<SessionStatus>> SessionsAsync() => SessionsOf(await LookAsync(out _).ConfigureAwait(false));

    /// <summary>Every loop's ingress, as it was at most a quarter of a second ago. For those who cannot but wait with their thread, of which only one waits: to others a loop that is late is shown as it was last.</summary>
    public IReadOnlyList<IngressStatus> Look()
    {
        var look = LookAsync(out bool isNew);
        return isNew || look.IsCompleted ? look.GetAwaiter().GetResult() : Volatile.Read(ref _last) ?? look.GetAwaiter().GetResult();
    }

    /// <summary>The look that is under way, or fresh, or else a new one; it ends when all loops have answered or patience is over.</summary>
    private Task<IReadOnlyList<IngressStatus>> LookAsync(out bool isNew)
    {
        lock (_gate)
        {
            isNew = _look is null || (_look.IsCompleted && time.GetElapsedTime(_lookedAt) >= s_freshness);
            return isNew ? _look = LookAgainAsync() : _look!;
        }
    }

    private async Task<IReadOnlyList<IngressStatus>> LookAgainAsync()
    {
        Task<IngressStatus>[] looks = [.. _loops.Select(ingress => ingress.Ask<IngressStatus>(reply => new IngressActor.Look(reply), s_patience, time))];
        await ((Task)Task.WhenAll(looks)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var before = Volatile.Read(ref _last);
        IReadOnlyList<IngressStatus> seen = [.. looks.Select((look, loop) => look.IsCompletedSuccessfully ? look.Result : before?[loop] ?? s_nothing)];
        _lookedAt = time.GetTimestamp();
        Volatile.Write(ref _last, seen);
        return seen;
    }

    private static IReadOnlyList<SessionStatus> SessionsOf(IReadOnlyList<IngressStatus> loops) => [.. loops.SelectMany(ingress => ingress.Sessions)];
}
