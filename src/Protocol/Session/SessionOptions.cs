namespace NetdumpCollector.Protocol.Session;

/// <summary>Times and limits of a session. The defaults come from protocol.md and fit real kernels.</summary>
public sealed record SessionOptions
{
    /// <summary>A burst with no packet for this long has lost some.</summary>
    public long QuietPeriodUs { get; init; } = 15_000;

    /// <summary>Where packets were lost before, a client that sends nothing for this long after its packets were acked may have lost acks: they are sent once more.</summary>
    public long ReackUs { get; init; } = 50_000;

    /// <summary>Packets this far apart in time belong to different retransmission rounds; the kernel's are 1 s apart.</summary>
    public long RoundGapUs { get; init; } = 100_000;

    /// <summary>A kernel that repeats its burst for this long is about to give up, at 12.1 s.</summary>
    public long LastResortUs { get; init; } = 8_500_000;

    /// <summary>A client that never had two packets outstanding and repeats one for this long waits for each ack.</summary>
    public long SinglePacketHoldUs { get; init; } = 3_000_000;

    /// <summary>A herald that nothing follows is forgotten after this long.</summary>
    public long HalfOpenTimeoutUs { get; init; } = 30_000_000;

    /// <summary>A client without a packet for this long is dead.</summary>
    public long ClientTimeoutUs { get; init; } = 600_000_000;

    /// <summary>Header and all bytes there, and silence for this long: the client does not send FINISHED.</summary>
    public long SilentAfterHeaderUs { get; init; } = 15_000_000;

    /// <summary>A repeated FINISHED is answered for this long.</summary>
    public long LingerUs { get; init; } = 15_000_000;

    /// <summary>A kernel that was silent for this long has given up: 12 sends, 1 s apart, and a margin.</summary>
    public long RetryBudgetUs { get; init; } = 13_000_000;

    /// <summary>Largest dump accepted, in bytes; an offset beyond it is a mistake or an attack.</summary>
    public ulong MaxDumpBytes { get; init; } = 1ul << 44;

    /// <summary>Separate ranges of one dump that are tracked.</summary>
    public int MaxRanges { get; init; } = 65_536;

    /// <summary>Largest key blob accepted; the kernel's is one block of 4096 bytes.</summary>
    public int MaxKeyBytes { get; init; } = 65_536;

    /// <summary>Longest herald path accepted, its terminating zero included: FreeBSD's MAXPATHLEN.</summary>
    public int MaxPathBytes { get; init; } = 1024;
}
