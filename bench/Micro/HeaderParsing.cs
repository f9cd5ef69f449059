using BenchmarkDotNet.Attributes;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Micro;

/// <summary>What each packet, and each dump's header, costs to read.</summary>
public class HeaderParsing
{
    private const int PayloadBytes = 1448;
    private const int Packets = 46;

    private readonly byte[] _burst = new byte[Packets * (MessageHeader.SizeBytes + PayloadBytes)];
    private readonly byte[] _kernelDumpHeader = KernelDumpHeader.Create("amd64", 2ul << 30, DateTimeOffset.UnixEpoch, keySize: 0, blockSize: 512,
        DumpCompression.None, "db7.example.net", "FreeBSD 14.1-RELEASE releng/14.1-n267679-10e31f0946d8 GENERIC\n", "page fault");

    [GlobalSetup]
    public void CutBurst()
    {
        for (int i = 0; i < Packets; i++)
        {
            var header = new MessageHeader(MessageType.Vmcore, (uint)i, (ulong)(i * PayloadBytes), PayloadBytes);
            header.Write(_burst.AsSpan(i * (MessageHeader.SizeBytes + PayloadBytes)));
        }
    }

    /// <summary>The headers of a burst of 64 KiB, per packet.</summary>
    [Benchmark(OperationsPerInvoke = Packets)]
    public ulong ReadMessageHeader()
    {
        ulong sum = 0;
        for (int at = 0; at < _burst.Length; at += MessageHeader.SizeBytes + PayloadBytes)
        {
            if (MessageHeader.TryRead(_burst.AsSpan(at, MessageHeader.SizeBytes + PayloadBytes), out var header))
                sum += header.Offset;
        }

        return sum;
    }

    [Benchmark]
    public KernelDumpHeader? ReadKernelDumpHeader() => KernelDumpHeader.Read(_kernelDumpHeader);
}
