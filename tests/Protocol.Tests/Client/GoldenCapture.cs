using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace NetdumpCollector.Protocol.Tests.Client;

/// <summary>One UDP datagram of a capture.</summary>
internal sealed record CapturedDatagram(long AtUs, ushort SourcePort, ushort DestinationPort, byte[] Payload)
{
    public bool IsFromClient => SourcePort == WellKnown.ClientPort;
}

/// <summary>What a real FreeBSD 14 kernel and netdumpd said to each other (tests/Golden/README.md).</summary>
internal static class GoldenCapture
{
    private const int PcapHeaderBytes = 24;
    private const int RecordHeaderBytes = 16;
    private const int EthernetHeaderBytes = 14;
    private const int UdpHeaderBytes = 8;

    /// <summary>The capture's UDP datagrams in order.</summary>
    public static IReadOnlyList<CapturedDatagram> Read([CallerFilePath] string thisFile = "")
    {
        byte[] pcap = File.ReadAllBytes(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", "..", "Golden", "wire.pcap"));
        Assert.Equal(0xa1b2c3d4u, BinaryPrimitives.ReadUInt32LittleEndian(pcap));

        var datagrams = new List<CapturedDatagram>();
        for (int at = PcapHeaderBytes; at < pcap.Length;)
        {
            long seconds = BinaryPrimitives.ReadUInt32LittleEndian(pcap.AsSpan(at));
            long microseconds = BinaryPrimitives.ReadUInt32LittleEndian(pcap.AsSpan(at + 4));
            int length = BinaryPrimitives.ReadInt32LittleEndian(pcap.AsSpan(at + 8));
            var frame = pcap.AsSpan(at + RecordHeaderBytes, length);
            at += RecordHeaderBytes + length;
            if (BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != 0x0800)
                continue;

            var ip = frame[EthernetHeaderBytes..];
            var udp = ip[((ip[0] & 15) * 4)..];
            datagrams.Add(new(
                seconds * 1_000_000 + microseconds,
                BinaryPrimitives.ReadUInt16BigEndian(udp),
                BinaryPrimitives.ReadUInt16BigEndian(udp[2..]),
                udp[UdpHeaderBytes..BinaryPrimitives.ReadUInt16BigEndian(udp[4..])].ToArray()));
        }

        return datagrams;
    }
}
