using NetdumpCollector.Protocol;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Ingress;

/// <summary>Opens session sockets on a range of ports, going round, so that a port rests before it is used again.</summary>
/// <param name="range">First and last port.</param>
/// <param name="shard">Which of the loops; each begins elsewhere in the range, and each process too: the port of an earlier one's dump is likely to be free also where its file system answers late.</param>
/// <param name="shards">Number of loops.</param>
internal sealed class SessionPorts((ushort From, ushort To) range, int shard, int shards)
{
    /// <summary>Taken ports that are skipped before the range counts as full.</summary>
    private const int MaxAttempts = 1024;

    /// <summary>So long an address whose ports are taken is left alone: each attempt costs a system call and an exception, and heralds may be many.</summary>
    private const long RestUs = 1_000_000;

    private int _next = range.From + Random.Shared.Next((range.To - range.From + 1) * shard / shards, Math.Max((range.To - range.From + 1) * (shard + 1) / shards, 1));
    private (Ipv4 Address, EndpointException Reason)? _full;
    private long _fullUntilUs;

    /// <summary>A session of an earlier process has this port: where the search would come to it soon it goes on far away, because that process's other ports are next to it, and a dump whose file system answers late wants its own.</summary>
    public void Skip(ushort taken)
    {
        int size = range.To - range.From + 1, ahead = (taken - _next + size) % size;
        if (ahead <= size / 3 || ahead >= size - size / 3)
            _next = range.From + (taken - range.From + size / 2) % size;
    }

    /// <exception cref="EndpointException">No port can be had.</exception>
    public IUdpEndpoint Open(IEventLoop loop, Ipv4 local, int bufferBytes, IDatagramReceiver receiver)
    {
        if (_full is { } full && full.Address == local && loop.NowUs < _fullUntilUs)
            throw new EndpointException(full.Reason.Message, full.Reason.Error, full.Reason);

        for (int attempt = 1; ; attempt++)
        {
            ushort port = (ushort)_next;
            _next = _next == range.To ? range.From : _next + 1;
            try
            {
                return loop.Open(new() { Address = local, Port = port, ReceiveBufferBytes = bufferBytes }, receiver);
            }
            catch (EndpointException e) when (e.Error == EndpointError.PortTaken)
            {
                if (attempt < Math.Min(MaxAttempts, range.To - range.From + 1))
                    continue;
                (_full, _fullUntilUs) = ((local, e), loop.NowUs + RestUs);
                throw;
            }
        }
    }
}
