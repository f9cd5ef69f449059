using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport;

/// <summary>One received datagram; its memory belongs to the event loop and is valid until the receiver returns.</summary>
public readonly unsafe struct Datagram(byte* data, int length, Ipv4 remote, ushort remotePort, Ipv4 local)
{
    public byte* Data { get; } = data;
    public int Length { get; } = length;
    public Ipv4 Remote { get; } = remote;
    public ushort RemotePort { get; } = remotePort;

    /// <summary>The address the datagram was sent to, from IP_PKTINFO on wildcard sockets; where the answer must come from.</summary>
    public Ipv4 Local { get; } = local;

    public ReadOnlySpan<byte> Span => new(Data, Length);
}
