using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Takeover;

/// <summary>Flows of one loop whose sessions are being sought at other nodes, or were a moment ago: packets that nobody knows must not make work each.</summary>
/// <param name="capacity">Flows that are remembered.</param>
/// <param name="lease">Room for packets of a flow while it is sought; null when there is none.</param>
/// <param name="onRefused">Called for each flow that finds no room; its client's next packet asks again.</param>
internal sealed class SoughtFlows(int capacity, Func<Staging?> lease, Action onRefused)
{
    /// <summary>After that a flow is sought anew whose end nobody has told of: where so much is to be done that messages are lost.</summary>
    internal const long OverdueUs = 60_000_000;

    /// <summary>A table that is full is looked through for flows that can be forgotten no more often than that: a storm of packets must not make that work for each.</summary>
    private const long ForgetIntervalUs = 20_000;

    /// <summary>A client repeats what is not acked each second, so that it is sought anew with each repeat and not with each packet of it.</summary>
    internal const long AgainUs = 500_000;

    /// <summary>So long a herald waits for what a directory has of its flow; one that hangs must not lose a dump.</summary>
    internal const long PatienceUs = 200_000;

    private readonly Dictionary<FlowKey, Entry> _flows = [];
    private long _nextForgetUs;

    /// <summary>A packet came whose session is not here.</summary>
    /// <param name="flow">Where it came from and to.</param>
    /// <param name="datagram">The packet.</param>
    /// <param name="nowUs">Monotonic time in microseconds.</param>
    /// <param name="isHeld">It is kept until the flow has been sought; else it is lost, and the client repeats it.</param>
    /// <returns>The flow is to be sought now.</returns>
    public bool Add(FlowKey flow, in Datagram datagram, long nowUs, out bool isHeld)
    {
        isHeld = false;
        if (_flows.TryGetValue(flow, out var known) && nowUs < known.UntilUs && !IsOverdue(known, nowUs))
        {
            isHeld = known.Packets?.TryAdd(datagram) ?? false;
            return false;
        }

        if (_flows.Count >= capacity)
            Forget(nowUs);
        if (_flows.Count >= capacity && !_flows.ContainsKey(flow))
        {
            onRefused();
            return false;
        }

        var packets = known.Packets ?? lease();
        isHeld = packets?.TryAdd(datagram) ?? false;
        _flows[flow] = new(nowUs, long.MaxValue, packets);
        return true;
    }

    /// <summary>Nothing of other nodes stands against a new session of the flow: it was sought a moment ago, or that takes longer than a dying host can wait.</summary>
    public bool MayOpen(FlowKey flow, long nowUs) =>
        _flows.TryGetValue(flow, out var known) && nowUs < known.UntilUs && (known.UntilUs != long.MaxValue || nowUs - known.SinceUs > PatienceUs);

    /// <summary>All that there is of the flow has been found, or nobody could be asked.</summary>
    /// <returns>Packets that wait for that, or null; the caller gives them back.</returns>
    public Staging? End(FlowKey flow, long nowUs)
    {
        var packets = _flows.GetValueOrDefault(flow).Packets;
        _flows[flow] = new(nowUs, nowUs + AgainUs, null);
        return packets;
    }

    /// <summary>It is being sought for so long that nobody may be seeking it any more.</summary>
    private static bool IsOverdue(in Entry entry, long nowUs) => entry.UntilUs == long.MaxValue && nowUs - entry.SinceUs >= OverdueUs;

    private void Forget(long nowUs)
    {
        if (nowUs < _nextForgetUs)
            return;
        _nextForgetUs = nowUs + ForgetIntervalUs;
        foreach (var (flow, entry) in _flows)
        {
            if (nowUs >= entry.UntilUs)
                _flows.Remove(flow);
        }
    }

    private readonly record struct Entry(long SinceUs, long UntilUs, Staging? Packets);
}
