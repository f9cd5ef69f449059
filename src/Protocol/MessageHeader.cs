using System.Buffers.Binary;

namespace NetdumpCollector.Protocol;

/// <summary>The 24 bytes that start every client message, big-endian on the wire.</summary>
/// <param name="Type">What the payload is.</param>
/// <param name="Seqno">Counts packets; acks name it.</param>
/// <param name="Offset">Where the payload belongs in the dump, in bytes.</param>
/// <param name="Length">Payload bytes that follow the header.</param>
/// <remarks>Source: protocol.md, "Messages"; FreeBSD sys/net/debugnet.h.</remarks>
public readonly record struct MessageHeader(MessageType Type, uint Seqno, ulong Offset, uint Length)
{
    public const int SizeBytes = 24;

    /// <summary>Reads the header of <paramref name="datagram"/>; a datagram whose length disagrees with it is not a message.</summary>
    public static bool TryRead(ReadOnlySpan<byte> datagram, out MessageHeader header)
    {
        header = default;
        if (datagram.Length < SizeBytes)
            return false;

        header = new(
            (MessageType)BinaryPrimitives.ReadUInt32BigEndian(datagram),
            BinaryPrimitives.ReadUInt32BigEndian(datagram[4..]),
            BinaryPrimitives.ReadUInt64BigEndian(datagram[8..]),
            BinaryPrimitives.ReadUInt32BigEndian(datagram[16..]));
        return header.Length == (uint)(datagram.Length - SizeBytes);
    }

    /// <summary>Writes the header, aux2 as 0, to the first <see cref="SizeBytes"/> bytes of <paramref name="datagram"/>.</summary>
    public void Write(Span<byte> datagram)
    {
        BinaryPrimitives.WriteUInt32BigEndian(datagram, (uint)Type);
        BinaryPrimitives.WriteUInt32BigEndian(datagram[4..], Seqno);
        BinaryPrimitives.WriteUInt64BigEndian(datagram[8..], Offset);
        BinaryPrimitives.WriteUInt32BigEndian(datagram[16..], Length);
        BinaryPrimitives.WriteUInt32BigEndian(datagram[20..], 0);
    }
}
