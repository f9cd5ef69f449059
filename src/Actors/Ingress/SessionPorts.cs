using NetdumpCollector.Protocol;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>Opens session sockets on a range of ports, going round, so that a port rests before it is used again.</summary>
/// <param name="range">First and last port.</param>
/// <param name="shard">Which of the loops; each begins elsewhere in the range.</param>
/// <param name="shards">Number of loops.</param>
internal sealed class SessionPorts((ushort From, ushort To) range, int shard, int shards)
{
    /// <summary>Taken ports that are skipped before the range counts as full.</summary>
    private const int MaxAttempts = 1024;

    private int _next = range.From + (range.To - range.From + 1) * shard / shards;

    /// <summary>A session of an earlier process has this port: the search goes on behind it, because its neighbours are likely to be taken as well.</summary>
    public void Skip(ushort taken)
    {
        if (taken >= _next && taken < range.To)
            _next = taken + 1;
    }

    /// <exception cref="EndpointException">No port can be had.</exception>
    public IUdpEndpoint Open(IEventLoop loop, Ipv4 local, int bufferBytes, IDatagramReceiver receiver)
    {
        for (int attempt = 1; ; attempt++)
        {
            ushort port = (ushort)_next;
            _next = _next == range.To ? range.From : _next + 1;
            try
            {
                return loop.Open(new() { Address = local, Port = port, ReceiveBufferBytes = bufferBytes }, receiver);
            }
            catch (EndpointException e) when (e.Error == EndpointError.PortTaken && attempt < Math.Min(MaxAttempts, range.To - range.From + 1))
            {
            }
        }
    }
}
