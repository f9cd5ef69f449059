using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests;

/// <summary>A panicked host of hand-made messages on a plain socket; it repeats what is not acked, as kernels do.</summary>
internal sealed class WireClient : IDisposable
{
    private static readonly TimeSpan s_retransmit = TimeSpan.FromMilliseconds(300);

    private readonly Socket _socket;
    private readonly Ipv4 _server;
    private readonly ushort _heraldPort;
    private readonly byte[] _buffer = new byte[64];
    private int _offset;

    public WireClient(Ipv4 address, ushort port, Ipv4 server, ushort heraldPort)
    {
        Address = address;
        _server = server;
        _heraldPort = heraldPort;
        _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { SendBufferSize = 1 << 20, ReceiveBufferSize = 1 << 20 };
        _socket.Bind(new IPEndPoint(address.ToIPAddress(), port));
    }

    /// <summary>An ack and where it came from.</summary>
    public readonly record struct Ack(uint Seqno, Ipv4 From, ushort FromPort);

    public Ipv4 Address { get; }

    /// <summary>Where the first ack came from.</summary>
    public ushort SessionPort { get; private set; }

    /// <summary>Seqno of the next new packet.</summary>
    public uint NextSeqno { get; private set; } = 1;

    /// <summary>Every ack received since the start or the last <see cref="Reboot"/>.</summary>
    public List<Ack> Acks { get; } = [];

    /// <summary>Sends the herald until it is acked; from then on the port of that ack is used.</summary>
    public Ack Herald(string path = "", uint seqno = 1)
    {
        var ack = SendUntilAcked([TestDump.Herald(path, seqno)], _heraldPort)[^1];
        SessionPort = ack.FromPort;
        NextSeqno = seqno + 1;
        return ack;
    }

    /// <summary>As <see cref="Herald"/>, with a path that does not fit one packet.</summary>
    public void HeraldInPieces(string path, int pieceBytes)
    {
        byte[] bytes = [.. Encoding.UTF8.GetBytes(path), 0];
        var pieces = new List<byte[]>();
        for (int offset = 0; offset < bytes.Length; offset += pieceBytes)
            pieces.Add(TestDump.Message(MessageType.Herald, NextSeqno++, (ulong)offset, bytes.AsSpan(offset, Math.Min(pieceBytes, bytes.Length - offset))));
        SessionPort = SendUntilAcked(pieces, _heraldPort)[^1].FromPort;
    }

    /// <summary>Sends the next burst of <paramref name="dump"/> until it is acked.</summary>
    public void SendBurst(TestDump dump) => SendUntilAcked(TakeBurst(dump));

    /// <summary>The next burst's packets; the client takes them as sent.</summary>
    public byte[][] TakeBurst(TestDump dump)
    {
        byte[][] burst = dump.Burst(NextSeqno, _offset);
        NextSeqno += (uint)burst.Length;
        _offset = dump.BurstEnd(_offset);
        return burst;
    }

    /// <summary>Sends what is left of <paramref name="dump"/> and its header.</summary>
    public void SendRest(TestDump dump)
    {
        while (_offset < dump.Content.Length)
            SendBurst(dump);
        SendUntilAcked([TestDump.Message(MessageType.Kdh, NextSeqno++, 0, dump.Header)]);
    }

    /// <summary>Sends the key of an encrypted dump until it is acked.</summary>
    /// <returns>What was sent.</returns>
    public byte[] SendKey(byte[] key)
    {
        byte[] message = TestDump.Message(MessageType.EkcdKey, NextSeqno++, 0, key);
        SendUntilAcked([message]);
        return message;
    }

    /// <summary>Sends a whole dump from herald to FINISHED.</summary>
    public void SendDump(TestDump dump)
    {
        Herald();
        SendRest(dump);
        Finish();
    }

    /// <summary>Sends FINISHED until it is acked.</summary>
    public void Finish() => SendUntilAcked([TakeFinished()]);

    /// <summary>FINISHED; asked for again it is a retransmission.</summary>
    public byte[] TakeFinished() => TestDump.Message(MessageType.Finished, NextSeqno, 0, []);

    /// <summary>The host starts anew and knows nothing of its earlier dump.</summary>
    public void Reboot()
    {
        CountAcks(0);
        Acks.Clear();
        NextSeqno = 1;
        _offset = 0;
    }

    public void SendHeraldOnce() => Send(TestDump.Herald(), _heraldPort);

    public void Send(byte[] message) => Send(message, SessionPort);

    public void Send(byte[] message, ushort port) =>
        Assert.Equal(message.Length, _socket.SendTo(message, new IPEndPoint(_server.ToIPAddress(), port)));

    /// <summary>Sends the messages, and again those that are not acked, until all are.</summary>
    /// <returns>The acks that came meanwhile.</returns>
    public IReadOnlyList<Ack> SendUntilAcked(IReadOnlyList<byte[]> messages) => SendUntilAcked(messages, SessionPort);

    /// <summary>The next ack of <paramref name="seqno"/>, which must come; the server may repeat others at any time.</summary>
    public Ack Receive(uint seqno)
    {
        while (TryReceive(Eventually.Deadline) is Ack ack)
        {
            if (ack.Seqno == seqno)
                return ack;
        }

        throw new TimeoutException($"{Address} got no ack of {seqno}");
    }

    /// <summary>How many acks of <paramref name="seqno"/> have arrived until now.</summary>
    public int CountAcks(uint seqno)
    {
        while (TryReceive(TimeSpan.Zero) is not null)
        {
        }

        return Acks.Count(ack => ack.Seqno == seqno);
    }

    /// <summary>The next ack, or null when none comes in time.</summary>
    public Ack? TryReceive(TimeSpan timeout)
    {
        if (!_socket.Poll(timeout, SelectMode.SelectRead))
            return null;

        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        Assert.Equal(WellKnown.AckBytes, _socket.ReceiveFrom(_buffer, ref from));
        var sender = (IPEndPoint)from;
        var ack = new Ack(BinaryPrimitives.ReadUInt32BigEndian(_buffer), Ipv4.From(sender.Address), (ushort)sender.Port);
        Acks.Add(ack);
        return ack;
    }

    public void Dispose() => _socket.Dispose();

    private List<Ack> SendUntilAcked(IReadOnlyList<byte[]> messages, ushort port)
    {
        long start = Stopwatch.GetTimestamp();
        var unacked = messages.ToDictionary(TestDump.SeqnoOf);
        var acks = new List<Ack>();
        while (unacked.Count > 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Deadline, $"{Address}: {unacked.Count} of {messages.Count} packets are not acked, the first is {unacked.Keys.Min()}");
            foreach (byte[] message in unacked.Values)
                Send(message, port);
            while (unacked.Count > 0 && TryReceive(s_retransmit) is Ack ack)
            {
                acks.Add(ack);
                unacked.Remove(ack.Seqno);
            }
        }

        return acks;
    }
}
