using System.Buffers.Binary;
using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests;

/// <summary>A dump as a kernel has it: content and header, no two alike.</summary>
internal sealed class TestDump
{
    public const int PayloadBytes = 1448;

    /// <param name="lengthBytes">Must not end on a packet's boundary, so that the last packet is a short one.</param>
    /// <param name="seed">Makes the content.</param>
    public TestDump(int lengthBytes, int seed = 1)
    {
        Content = new byte[lengthBytes];
        new Random(seed).NextBytes(Content);
        Header = KernelDumpHeader.Create("amd64", (ulong)lengthBytes, DateTimeOffset.UnixEpoch, keySize: 0, blockSize: 512,
            DumpCompression.None, $"host{seed}", "FreeBSD test", $"panic {seed}");
    }

    public byte[] Content { get; }

    public byte[] Header { get; }

    /// <summary>Where the burst ends that starts at <paramref name="offset"/>: the first is the header page alone.</summary>
    public int BurstEnd(int offset) => Math.Min(Content.Length, offset == 0 ? WellKnown.PageBytes : offset + WellKnown.BurstBytes);

    /// <summary>The packets of the burst that starts at <paramref name="offset"/>.</summary>
    public byte[][] Burst(uint firstSeqno, int offset)
    {
        var packets = new List<byte[]>();
        for (int end = BurstEnd(offset); offset < end; offset += PayloadBytes)
        {
            packets.Add(Message(MessageType.Vmcore, firstSeqno + (uint)packets.Count, (ulong)offset,
                Content.AsSpan(offset, Math.Min(PayloadBytes, end - offset))));
        }

        return [.. packets];
    }

    public static byte[] Herald(string path = "", uint seqno = 1) =>
        Message(MessageType.Herald, seqno, 0, path.Length == 0 ? [] : [.. Encoding.UTF8.GetBytes(path), 0]);

    public static byte[] Message(MessageType type, uint seqno, ulong offset, ReadOnlySpan<byte> payload)
    {
        byte[] message = new byte[MessageHeader.SizeBytes + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(message, (uint)type);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(4), seqno);
        BinaryPrimitives.WriteUInt64BigEndian(message.AsSpan(8), offset);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(16), (uint)payload.Length);
        payload.CopyTo(message.AsSpan(MessageHeader.SizeBytes));
        return message;
    }

    public static uint SeqnoOf(byte[] message) => BinaryPrimitives.ReadUInt32BigEndian(message.AsSpan(4));
}
