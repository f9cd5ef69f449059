using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Collector.Send;

/// <summary>What <c>send</c> is to do, validated.</summary>
internal sealed record SendOptions
{
    /// <summary>Speed of the modelled NIC of <c>--kernel</c>: gigabit Ethernet, slow enough that a burst is still queued when its first acks arrive.</summary>
    private const long KernelNicBytesPerSecond = 125_000_000;

    /// <summary>File to send, or null to make a dump up.</summary>
    public string? File { get; init; }

    /// <summary>Size of a made-up dump.</summary>
    public long SyntheticBytes { get; init; }
    public required Ipv4 Server { get; init; }
    public ushort Port { get; init; } = WellKnown.HeraldPort;
    public ushort ClientPort { get; init; } = WellKnown.ClientPort;
    public int Clients { get; init; } = 1;

    /// <summary>Source address of the first client, the others' follow; <see cref="Ipv4.Any"/> leaves it to the system.</summary>
    public Ipv4 From { get; init; }
    public int PayloadBytes { get; init; } = 1448;
    public string HeraldPath { get; init; } = "";
    public string Panic { get; init; } = "fire drill";
    public string Host { get; init; } = "fire-drill";
    public DumpCompression Compression { get; init; }

    /// <summary>EKCD key blob, empty for a dump in clear.</summary>
    public ReadOnlyMemory<byte> Key { get; init; }
    public KernelEra Era { get; init; } = KernelEra.FreeBsd13;

    /// <summary>Behave like a kernel also where that is slow or wrong.</summary>
    public bool Kernel { get; init; }
    public FaultRates Faults { get; init; }
    public int Seed { get; init; } = 1;
    public int RetransmitMs { get; init; } = 1000;
    public bool Finish { get; init; } = true;

    public string HostOf(int client) => Clients == 1 ? Host : $"{Host}-{client}";

    /// <summary>How client number <paramref name="client"/> speaks when it sends <paramref name="sizeBytes"/>.</summary>
    /// <remarks>The kernel's dump code writes whole pages; the header tells how long the dump is.</remarks>
    public KernelClientOptions KernelOptionsOf(int client, long sizeBytes, DateTimeOffset now)
    {
        var options = new KernelClientOptions
        {
            DumpBytes = (ulong)PaddedBytes(sizeBytes),
            PayloadBytes = PayloadBytes,
            Era = Era,
            HeraldPath = HeraldPath,
            Key = Key,
            KernelDumpHeader = KernelDumpHeader.Create("amd64", (ulong)sizeBytes, now, (uint)Key.Length, WellKnown.PageBytes, Compression, HostOf(client),
                "FreeBSD 14 (netdump-collector send)", Panic),
            SendsFinished = Finish,
            RetransmitUs = RetransmitMs * 1000L,
        };
        return Kernel
            ? options with { NicBytesPerSecond = KernelNicBytesPerSecond }
            : options with { AckBitmap = AckBitmap.Ideal64, PollUs = 0, FirstBurstBytes = WellKnown.BurstBytes };
    }

    public static long PaddedBytes(long sizeBytes) => (sizeBytes + WellKnown.PageBytes - 1) / WellKnown.PageBytes * WellKnown.PageBytes;
}

/// <summary>Probabilities, from 0 to 1, of what happens to a packet on its way.</summary>
/// <param name="Loss">It never arrives.</param>
/// <param name="Duplicate">It arrives twice.</param>
/// <param name="Reorder">Later ones overtake it.</param>
internal readonly record struct FaultRates(double Loss, double Duplicate, double Reorder)
{
    public bool IsPerfect => this == default;
}
