using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

/// <summary>The other side of an endpoint: a plain blocking socket.</summary>
internal sealed class UdpClientSocket : IDisposable
{
    private const int SolUdp = 17;
    private const int UdpSegment = 103;

    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
    {
        ReceiveTimeout = (int)RunningLoop.Deadline.TotalMilliseconds,
        SendBufferSize = 1 << 20,
    };

    public UdpClientSocket(string address = "127.0.0.1")
    {
        _socket.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
        var bound = (IPEndPoint)_socket.LocalEndPoint!;
        Address = Ipv4.From(bound.Address);
        Port = (ushort)bound.Port;
    }

    public Ipv4 Address { get; }

    public ushort Port { get; }

    public void Send(IUdpEndpoint to, ReadOnlySpan<byte> datagram) => Send(to.Address, to.Port, datagram);

    public void Send(Ipv4 address, ushort port, ReadOnlySpan<byte> datagram) =>
        Assert.Equal(datagram.Length, _socket.SendTo(datagram, new IPEndPoint(address.ToIPAddress(), port)));

    /// <summary>Sends <paramref name="bytes"/> as datagrams of <paramref name="segmentBytes"/>, in one call where the system can.</summary>
    public void SendTrain(IUdpEndpoint to, ReadOnlySpan<byte> bytes, int segmentBytes) =>
        SendTrain(to.Address, to.Port, bytes, segmentBytes);

    public void SendTrain(Ipv4 address, ushort port, ReadOnlySpan<byte> bytes, int segmentBytes)
    {
        if (OperatingSystem.IsLinux())
        {
            _socket.SetRawSocketOption(SolUdp, UdpSegment, BitConverter.GetBytes(segmentBytes));
            Send(address, port, bytes);
            _socket.SetRawSocketOption(SolUdp, UdpSegment, BitConverter.GetBytes(0));
            return;
        }

        for (; !bytes.IsEmpty; bytes = bytes[Math.Min(segmentBytes, bytes.Length)..])
            Send(address, port, bytes[..Math.Min(segmentBytes, bytes.Length)]);
    }

    public (byte[] Bytes, Ipv4 From, ushort FromPort) Receive()
    {
        byte[] buffer = new byte[65536];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        int length = _socket.ReceiveFrom(buffer, ref from);
        var sender = (IPEndPoint)from;
        return (buffer[..length], Ipv4.From(sender.Address), (ushort)sender.Port);
    }

    /// <summary>Receives one ack, which must be a datagram of exactly 4 bytes from the given place.</summary>
    public uint ReceiveAck(Ipv4 from, ushort fromPort)
    {
        var ack = Receive();
        Assert.Equal((4, from, fromPort), (ack.Bytes.Length, ack.From, ack.FromPort));
        return BinaryPrimitives.ReadUInt32BigEndian(ack.Bytes);
    }

    public void Dispose() => _socket.Dispose();
}
