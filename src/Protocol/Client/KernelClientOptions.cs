using System.Text;

namespace NetdumpCollector.Protocol.Client;

/// <summary>In which order a kernel sends its messages.</summary>
/// <remarks>Source: protocol.md, "Messages".</remarks>
public enum KernelEra
{
    /// <summary>HERALD, EKCD_KEY, VMCORE, KDH, FINISHED.</summary>
    FreeBsd13,

    /// <summary>HERALD, VMCORE, KDH, EKCD_KEY, FINISHED; payload at most <see cref="KernelClientOptions.FreeBsd12MaxPayloadBytes"/>.</summary>
    FreeBsd12,
}

/// <summary>How a client remembers which packets of a burst were acked.</summary>
public enum AckBitmap
{
    /// <summary>As every kernel does: <c>1 &lt;&lt; index</c> in a 32-bit int, so that indices equal modulo 32 share a bit (protocol.md, kernel bug 1).</summary>
    Modulo32,

    /// <summary>As the kernel was meant to: 64 bits, one per index.</summary>
    Ideal64,
}

/// <summary>Bytes left over from an earlier dump that come before the new one's (protocol.md, kernel bug 3).</summary>
public sealed record StaleBurst(ulong Offset, ReadOnlyMemory<byte> Bytes);

/// <summary>How a <see cref="KernelClient"/> behaves; the defaults are a FreeBSD 14 kernel at MTU 1500.</summary>
public sealed record KernelClientOptions
{
    /// <summary>IPv4, UDP and message header: what an MTU has besides payload.</summary>
    public const int PacketOverheadBytes = 20 + 8 + MessageHeader.SizeBytes;

    /// <summary>Largest payload of a 12-era kernel's packet.</summary>
    public const int FreeBsd12MaxPayloadBytes = 4096;

    /// <summary>Longest herald path with its NUL (MAXPATHLEN).</summary>
    public const int MaxHeraldPathBytes = 1024;

    /// <summary>Bytes of the dump, at least 1.</summary>
    public required ulong DumpBytes { get; init; }

    /// <summary>Payload bytes of a full packet, at most what fits a UDP datagram.</summary>
    public int PayloadBytes { get; init; } = 1500 - PacketOverheadBytes;

    public KernelEra Era { get; init; } = KernelEra.FreeBsd13;

    public AckBitmap AckBitmap { get; init; } = AckBitmap.Modulo32;

    /// <summary>How the bytes after the first burst are cut.</summary>
    public IBurstPlan BurstPlan { get; init; } = new FixedBursts();

    /// <summary>The first burst is the minidump header page alone.</summary>
    public int FirstBurstBytes { get; init; } = WellKnown.PageBytes;

    /// <summary>Relative path sent with the herald, empty for none.</summary>
    public string HeraldPath { get; init; } = "";

    /// <summary>EKCD key blob, empty for a dump in clear.</summary>
    public ReadOnlyMemory<byte> Key { get; init; }

    /// <summary>The 512 bytes of the KDH, empty when none is sent.</summary>
    public ReadOnlyMemory<byte> KernelDumpHeader { get; init; }

    /// <summary>False for a kernel whose earlier netdump attempt failed: it ends after its headers.</summary>
    public bool SendsFinished { get; init; } = true;

    /// <summary>Time between two looks at the NIC, 0 for a client that sees acks at once.</summary>
    public long PollUs { get; init; } = 500;

    /// <summary>Time after a round of sends before unacked packets are sent again, <see cref="long.MaxValue"/> for never.</summary>
    public long RetransmitUs { get; init; } = 1_000_000;

    /// <summary>Retransmission rounds of one burst before the whole dump is given up.</summary>
    public int RetransmitRounds { get; init; } = 11;

    /// <summary>How fast the NIC empties its queue, payload and overhead counted; 0 sends at once and so leaves no time for kernel bug 2.</summary>
    public long NicBytesPerSecond { get; init; }

    /// <summary>
    /// When set, the first burst goes to this offset and the bytes it has at offset 0 are never sent there (protocol.md, kernel bug 3, first form).
    /// </summary>
    public ulong? FirstBurstOffset { get; init; }

    /// <summary>When set, comes before the first burst (protocol.md, kernel bug 3, second form).</summary>
    public StaleBurst? StaleBurst { get; init; }

    /// <summary>Seqno of the herald: 1 for kernels.</summary>
    public uint HeraldSeqno { get; init; } = 1;

    /// <summary>Seqno of FINISHED when it does not go on from the packet before.</summary>
    public uint? FinishedSeqno { get; init; }

    /// <summary>Payload bytes of a kernel's full packet at <paramref name="mtu"/>.</summary>
    public static int PayloadOfMtu(int mtu) => mtu - PacketOverheadBytes;

    /// <summary>
    /// netdumpd's own test client: one packet at a time, waits for its ack for ever, sends no KDH (protocol.md, "Clients that are not kernels").
    /// </summary>
    public static KernelClientOptions NetdumpClient(ulong dumpBytes, int payloadBytes = 1000) => new()
    {
        DumpBytes = dumpBytes,
        PayloadBytes = payloadBytes,
        BurstPlan = new FixedBursts(payloadBytes),
        FirstBurstBytes = payloadBytes,
        AckBitmap = AckBitmap.Ideal64,
        PollUs = 0,
        RetransmitUs = long.MaxValue,
        HeraldSeqno = 0,
        FinishedSeqno = 0,
    };

    internal int EffectivePayloadBytes => Era == KernelEra.FreeBsd12 ? Math.Min(PayloadBytes, FreeBsd12MaxPayloadBytes) : PayloadBytes;

    internal byte[] HeraldBytes() => HeraldPath.Length == 0 ? [] : [.. Encoding.UTF8.GetBytes(HeraldPath), 0];

    /// <exception cref="ArgumentException">An option is out of its range; the message names it.</exception>
    internal void Validate()
    {
        Require(DumpBytes > 0, nameof(DumpBytes));
        Require(PayloadBytes is > 0 and <= 65507 - MessageHeader.SizeBytes, nameof(PayloadBytes));
        Require(FirstBurstBytes is > 0 and <= WellKnown.BurstBytes, nameof(FirstBurstBytes));
        Require(HeraldBytes().Length <= MaxHeraldPathBytes, nameof(HeraldPath));
        Require(Key.Length <= WellKnown.BurstBytes, nameof(Key));
        Require(KernelDumpHeader.Length is 0 or Protocol.KernelDumpHeader.SizeBytes, nameof(KernelDumpHeader));
        Require(PollUs >= 0, nameof(PollUs));
        Require(RetransmitUs > 0, nameof(RetransmitUs));
        Require(RetransmitRounds >= 0, nameof(RetransmitRounds));
        Require(NicBytesPerSecond >= 0, nameof(NicBytesPerSecond));
        Require(StaleBurst is null || StaleBurst.Bytes.Length is > 0 and <= WellKnown.BurstBytes, nameof(StaleBurst));
    }

    private static void Require(bool holds, string option)
    {
        if (!holds)
            throw new ArgumentException($"{option} is out of its range", option);
    }
}
