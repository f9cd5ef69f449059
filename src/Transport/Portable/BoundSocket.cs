using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Portable;

/// <summary>A socket, the address it is bound to, and the endpoint that it receives for.</summary>
internal sealed record BoundSocket(Socket Socket, Ipv4 Address, PortableEndpoint Endpoint)
{
    private static readonly IPEndPoint s_anyone = new(IPAddress.Any, 0);

    /// <summary>Receives one datagram into <paramref name="slot"/>; throws where none can be had.</summary>
    /// <param name="slot"><see cref="ReceivePool.SlotBytes"/> of native memory.</param>
    /// <param name="sender">Reused for the sender's address.</param>
    public unsafe Datagram Receive(byte* slot, PortableAddress sender)
    {
        Span<byte> buffer = new(slot, ReceivePool.SlotBytes);
        if (Address != Ipv4.Any)
        {
            int length = Socket.ReceiveFrom(buffer, SocketFlags.None, sender.SocketAddress);
            return new(slot, length, sender.Address, sender.Port, Address);
        }

        SocketFlags flags = SocketFlags.None;
        EndPoint from = s_anyone;
        int received = Socket.ReceiveMessageFrom(buffer, ref flags, ref from, out IPPacketInformation packet);
        var remote = (IPEndPoint)from;
        return new(slot, received, Ipv4.From(remote.Address), (ushort)remote.Port, packet.Address is { } local ? Ipv4.From(local) : Ipv4.Any);
    }
}
