using System.Buffers.Binary;
using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Linux;

/// <summary>Sends from a loop's sockets; its memory is shared by them.</summary>
/// <remarks>Acks leave as one sendmsg that the kernel cuts into datagrams of 4 bytes (UDP_SEGMENT), or as one sendmmsg where it refuses to.</remarks>
internal sealed unsafe class MessageSender : IDisposable
{
    /// <summary>What every kernel with UDP_SEGMENT cuts one send into at most (UDP_MAX_SEGMENTS, 64 up to Linux 6.9).</summary>
    private const int MaxSegments = 64;

    private const int AckBytes = 4;

    // Control messages with their padding: the source address first, so that it can be sent with or without the segment size.
    private const int PacketInfoBytes = 32;
    private const int SegmentBytes = 24;

    private readonly SocketAddress4* _name;
    private readonly byte* _control;
    private readonly uint* _acks;
    private readonly MemoryPiece* _pieces;
    private readonly BatchedMessage* _messages;

    public MessageSender()
    {
        _name = (SocketAddress4*)NativeMemory.AllocZeroed(1, (nuint)sizeof(SocketAddress4));
        _control = (byte*)NativeMemory.AllocZeroed(PacketInfoBytes + SegmentBytes);
        _acks = (uint*)NativeMemory.AllocZeroed(MaxSegments, AckBytes);
        _pieces = (MemoryPiece*)NativeMemory.AllocZeroed(MaxSegments, (nuint)sizeof(MemoryPiece));
        _messages = (BatchedMessage*)NativeMemory.AllocZeroed(MaxSegments, (nuint)sizeof(BatchedMessage));

        *(ControlHeader*)_control = new()
        {
            LengthBytes = (nuint)(sizeof(ControlHeader) + sizeof(PacketInfo)),
            Level = Libc.SolIp,
            Type = Libc.IpPktinfo,
        };
        *(ControlHeader*)(_control + PacketInfoBytes) = new()
        {
            LengthBytes = (nuint)(sizeof(ControlHeader) + sizeof(ushort)),
            Level = Libc.SolUdp,
            Type = Libc.UdpSegment,
        };
        *(ushort*)(_control + PacketInfoBytes + sizeof(ControlHeader)) = AckBytes;

        for (int i = 0; i < MaxSegments; i++)
            _pieces[i] = new() { Start = &_acks[i], LengthBytes = AckBytes };
    }

    /// <summary>How often something was sent.</summary>
    public long SendCount { get; private set; }

    private enum Outcome
    {
        Sent,

        /// <summary>The kernel does not send it in this form.</summary>
        Refused,

        /// <summary>The kernel does not send it now.</summary>
        Lost,
    }

    /// <summary>
    /// Sends acks from <paramref name="source"/>, <see cref="Ipv4.Any"/> for the socket's own address. <paramref name="canSegment"/> is
    /// remembered per socket: it is cleared when the kernel sends singly what it does not send in segments.
    /// </summary>
    public void SendAcks(int descriptor, Ipv4 source, Ipv4 remote, ushort remotePort, ReadOnlySpan<uint> seqnos, ref bool canSegment)
    {
        SendCount++;
        *_name = new(remote, remotePort);
        while (!seqnos.IsEmpty)
        {
            int count = Math.Min(seqnos.Length, MaxSegments);
            for (int i = 0; i < count; i++)
                _acks[i] = BinaryPrimitives.ReverseEndianness(seqnos[i]);

            Outcome outcome = SendAckBatch(descriptor, source, count, ref canSegment);
            if (outcome != Outcome.Sent)
                return;
            seqnos = seqnos[count..];
        }
    }

    /// <summary>Sends one datagram from the socket's own address.</summary>
    public void Send(int descriptor, Ipv4 remote, ushort remotePort, ReadOnlySpan<byte> datagram)
    {
        SendCount++;
        *_name = new(remote, remotePort);
        fixed (byte* start = datagram)
        {
            MemoryPiece piece = new() { Start = start, LengthBytes = (nuint)datagram.Length };
            SocketMessage message = Message(&piece, Ipv4.Any, segmented: false);
            SendOne(descriptor, &message);
        }
    }

    private Outcome SendAckBatch(int descriptor, Ipv4 source, int count, ref bool canSegment)
    {
        if (count > 1 && !canSegment)
            return SendEach(descriptor, source, count);

        MemoryPiece piece = new() { Start = _acks, LengthBytes = (nuint)count * AckBytes };
        SocketMessage message = Message(&piece, source, segmented: count > 1);
        Outcome outcome = SendOne(descriptor, &message);
        if (outcome != Outcome.Refused || count == 1)
            return outcome;

        // The same errors come from an address that cannot be sent to or from; that says nothing about segments.
        outcome = SendEach(descriptor, source, count);
        canSegment = outcome != Outcome.Sent;
        return outcome;
    }

    private Outcome SendEach(int descriptor, Ipv4 source, int count)
    {
        for (int i = 0; i < count; i++)
            _messages[i].Message = Message(&_pieces[i], source, segmented: false);

        int sent = 0;
        bool retried = false;
        while (sent < count)
        {
            int taken = Libc.SendMessages(descriptor, _messages + sent, (uint)(count - sent), Libc.MsgDontwait);
            if (taken > 0)
            {
                sent += taken;
                continue;
            }

            Outcome outcome = Classify(Libc.LastError, ref retried, out bool again);
            if (!again)
                return outcome;
        }
        return Outcome.Sent;
    }

    private static Outcome SendOne(int descriptor, SocketMessage* message)
    {
        bool retried = false;
        while (Libc.SendMessage(descriptor, message, Libc.MsgDontwait) < 0)
        {
            Outcome outcome = Classify(Libc.LastError, ref retried, out bool again);
            if (!again)
                return outcome;
        }
        return Outcome.Sent;
    }

    private static Outcome Classify(int error, ref bool retried, out bool again)
    {
        // An ICMP answer to an earlier datagram is reported once, in place of this send.
        again = !retried && error is (Libc.ECONNREFUSED or Libc.EINTR);
        retried |= again;
        return error is Libc.EINVAL or Libc.EIO or Libc.EMSGSIZE or Libc.EOPNOTSUPP or Libc.ENOPROTOOPT ? Outcome.Refused : Outcome.Lost;
    }

    private SocketMessage Message(MemoryPiece* piece, Ipv4 source, bool segmented)
    {
        bool hasSource = source != Ipv4.Any;
        if (hasSource)
        {
            *(PacketInfo*)(_control + sizeof(ControlHeader)) = new() { SourceBigEndian = BinaryPrimitives.ReverseEndianness(source.Value) };
        }

        return new()
        {
            Name = _name,
            NameBytes = (uint)sizeof(SocketAddress4),
            Pieces = piece,
            PieceCount = 1,
            Control = hasSource ? _control : _control + PacketInfoBytes,
            ControlBytes = (nuint)((hasSource ? PacketInfoBytes : 0) + (segmented ? SegmentBytes : 0)),
        };
    }

    public void Dispose()
    {
        NativeMemory.Free(_name);
        NativeMemory.Free(_control);
        NativeMemory.Free(_acks);
        NativeMemory.Free(_pieces);
        NativeMemory.Free(_messages);
    }
}
