using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A host that sends one packet at a time, as netdump-client does, and repeats it until it is acked.</summary>
internal sealed class PatientClient : IDisposable
{
    private static readonly TimeSpan s_retransmit = TimeSpan.FromMilliseconds(200);

    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    private readonly IPEndPoint _heraldPort;
    private readonly byte[] _buffer = new byte[64];
    private IPEndPoint _server;

    /// <param name="address">Its own address.</param>
    /// <param name="server">The server's.</param>
    /// <param name="port">Where heralds go.</param>
    /// <param name="content">What it dumps.</param>
    /// <param name="payloadBytes">Of a full packet.</param>
    /// <param name="heraldSeqno">0 as netdump-client, 1 as a kernel.</param>
    /// <param name="key">EKCD key blob, or empty.</param>
    public PatientClient(Ipv4 address, string server, ushort port, byte[] content, int payloadBytes, uint heraldSeqno = 0, byte[]? key = null)
    {
        Address = address;
        Content = content;
        key ??= [];
        _server = _heraldPort = new(IPAddress.Parse(server), port);
        _socket.Bind(new IPEndPoint(address.ToIPAddress(), WellKnown.ClientPort));
        uint seqno = heraldSeqno;
        Packets.Add(TestDump.Herald("", seqno++));
        if (key.Length > 0)
            Packets.Add(TestDump.Message(MessageType.EkcdKey, seqno++, 0, key));
        for (int at = 0; at < content.Length; at += payloadBytes)
            Packets.Add(TestDump.Message(MessageType.Vmcore, seqno++, (ulong)at, content.AsSpan(at, Math.Min(payloadBytes, content.Length - at))));
        Packets.Add(TestDump.Message(MessageType.Kdh, seqno++, 0, KernelDumpHeader.Create("amd64", (ulong)content.Length, DateTimeOffset.UtcNow, (uint)key.Length, 4096,
            DumpCompression.None, "patient", "FreeBSD", "killed")));
        Packets.Add(TestDump.Message(MessageType.Finished, seqno, 0, []));
    }

    public Ipv4 Address { get; }

    public byte[] Content { get; }

    /// <summary>Herald, key, data, header, FINISHED.</summary>
    public List<byte[]> Packets { get; } = [];

    /// <summary>Sends a packet once.</summary>
    public void Send(int packet) => _socket.SendTo(Packets[packet], _server);

    /// <summary>Sends a packet until it is acked; repeats it for as long as a kernel would.</summary>
    public void SendUntilAcked(int packet)
    {
        long start = Stopwatch.GetTimestamp();
        do
        {
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 12, $"{Address}: packet {packet} of {Packets.Count} is not acked");
            Send(packet);
        }
        while (!IsAcked(packet, s_retransmit));
    }

    /// <summary>The packet's ack is there or comes in time.</summary>
    public bool IsAcked(int packet, TimeSpan timeout)
    {
        long start = Stopwatch.GetTimestamp();
        while (_socket.Poll(timeout - Stopwatch.GetElapsedTime(start) is { Ticks: > 0 } left ? left : TimeSpan.Zero, SelectMode.SelectRead))
        {
            EndPoint from = new IPEndPoint(IPAddress.Any, 0);
            int length = _socket.ReceiveFrom(_buffer, ref from);
            if (length != WellKnown.AckBytes || BinaryPrimitives.ReadUInt32BigEndian(_buffer) != TestDump.SeqnoOf(Packets[packet]))
                continue;
            // The first ack of the herald says where everything else goes.
            if (packet == 0 && ReferenceEquals(_server, _heraldPort))
                _server = (IPEndPoint)from;
            return true;
        }

        return false;
    }

    public void Dispose() => _socket.Dispose();
}
