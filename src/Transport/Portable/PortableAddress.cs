using System.Buffers.Binary;
using System.Net;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Portable;

/// <summary>A socket address that is written and read in place, so that calls with it allocate nothing.</summary>
/// <remarks>Port and address lie at the same offsets of sockaddr_in on every system; only what is before them differs.</remarks>
internal sealed class PortableAddress
{
    private const int PortOffset = 2;
    private const int AddressOffset = 4;

    public SocketAddress SocketAddress { get; } = new IPEndPoint(IPAddress.Any, 0).Serialize();

    public Ipv4 Address => new(BinaryPrimitives.ReadUInt32BigEndian(Bytes[AddressOffset..]));

    public ushort Port => BinaryPrimitives.ReadUInt16BigEndian(Bytes[PortOffset..]);

    private Span<byte> Bytes => SocketAddress.Buffer.Span;

    public void Set(Ipv4 address, ushort port)
    {
        BinaryPrimitives.WriteUInt16BigEndian(Bytes[PortOffset..], port);
        BinaryPrimitives.WriteUInt32BigEndian(Bytes[AddressOffset..], address.Value);
    }
}
