using System.Buffers.Binary;
using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Linux;

/// <summary>Takes as many messages from a socket as one recvmmsg gives; its memory is shared by the sockets of a loop.</summary>
internal sealed unsafe class MessageReceiver : IDisposable
{
    public const int MaxMessages = ReceivePool.SlotCount;

    // IP_PKTINFO (32 bytes) and UDP_GRO (24 bytes), each padded to 8.
    private const int ControlBytes = 64;

    private readonly BatchedMessage* _messages;
    private readonly MemoryPiece* _pieces;
    private readonly SocketAddress4* _names;
    private readonly byte* _controls;
    private int _used = MaxMessages;

    public MessageReceiver(ReceivePool pool)
    {
        _messages = (BatchedMessage*)NativeMemory.AllocZeroed(MaxMessages, (nuint)sizeof(BatchedMessage));
        _pieces = (MemoryPiece*)NativeMemory.AllocZeroed(MaxMessages, (nuint)sizeof(MemoryPiece));
        _names = (SocketAddress4*)NativeMemory.AllocZeroed(MaxMessages, (nuint)sizeof(SocketAddress4));
        _controls = (byte*)NativeMemory.AllocZeroed(MaxMessages, ControlBytes);

        for (int i = 0; i < MaxMessages; i++)
        {
            _pieces[i] = new() { Start = pool.Slot(i), LengthBytes = ReceivePool.SlotBytes };
            _messages[i].Message = new()
            {
                Name = &_names[i],
                Pieces = &_pieces[i],
                PieceCount = 1,
                Control = _controls + i * ControlBytes,
            };
        }
    }

    /// <summary>Receives what is there now; 0 when nothing is, or when an earlier send's error was reported instead.</summary>
    public int Receive(int descriptor)
    {
        // The kernel wrote what it used over these lengths.
        for (int i = 0; i < _used; i++)
        {
            ref SocketMessage message = ref _messages[i].Message;
            message.NameBytes = (uint)sizeof(SocketAddress4);
            message.ControlBytes = ControlBytes;
            message.Flags = 0;
        }

        _used = Math.Max(0, Libc.ReceiveMessages(descriptor, _messages, MaxMessages, Libc.MsgDontwait, null));
        return _used;
    }

    /// <summary>Reads message <paramref name="index"/> of the last <see cref="Receive"/>; false when the kernel had to cut it.</summary>
    /// <param name="index">Below what <see cref="Receive"/> returned.</param>
    /// <param name="boundAddress">The socket's own address, which is where the message was sent to unless that is <see cref="Ipv4.Any"/>.</param>
    /// <param name="train">The message; with UDP_GRO it may be several datagrams of one source, end to end.</param>
    /// <param name="segmentBytes">Length of each datagram of the train but the last, which may be shorter.</param>
    public bool TryRead(int index, Ipv4 boundAddress, out Datagram train, out int segmentBytes)
    {
        ref readonly SocketMessage message = ref _messages[index].Message;
        int length = (int)_messages[index].LengthBytes;
        segmentBytes = length;
        Ipv4 local = boundAddress;

        byte* control = message.Control;
        byte* end = control + message.ControlBytes;
        while (end - control >= sizeof(ControlHeader))
        {
            var header = (ControlHeader*)control;
            if (header->LengthBytes < (nuint)sizeof(ControlHeader) || header->LengthBytes > (nuint)(end - control))
                break;

            byte* content = control + sizeof(ControlHeader);
            if (header->Level == Libc.SolUdp && header->Type == Libc.UdpGro)
                segmentBytes = *(int*)content;
            else if (header->Level == Libc.SolIp && header->Type == Libc.IpPktinfo)
                local = new(BinaryPrimitives.ReverseEndianness(((PacketInfo*)content)->DestinationBigEndian));
            control += (header->LengthBytes + 7) & ~(nuint)7;
        }

        if (segmentBytes <= 0)
            segmentBytes = length;
        train = new((byte*)_pieces[index].Start, length, _names[index].Address, _names[index].Port, local);
        return (message.Flags & (Libc.MsgTrunc | Libc.MsgCtrunc)) == 0;
    }

    public void Dispose()
    {
        NativeMemory.Free(_messages);
        NativeMemory.Free(_pieces);
        NativeMemory.Free(_names);
        NativeMemory.Free(_controls);
    }
}
