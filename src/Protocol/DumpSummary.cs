namespace NetdumpCollector.Protocol;

/// <summary>Everything a session knows of its dump when it ends; what info file and manifest are written from.</summary>
public sealed record DumpSummary
{
    public required DumpStatus Status { get; init; }
    public required EndReason Reason { get; init; }

    /// <summary>The write error or failure in words, when there was one.</summary>
    public string? Error { get; init; }

    /// <summary>The header as received, or null; its <see cref="KernelDumpHeader.IsValid"/> tells whether to believe it.</summary>
    public KernelDumpHeader? Header { get; init; }

    /// <summary>The EKCD key blob, or null when the client sent none.</summary>
    public ReadOnlyMemory<byte>? Key { get; init; }

    /// <summary>Holes of that blob, up to the last byte of it that came.</summary>
    public IReadOnlyList<ByteRange> KeyMissing { get; init; } = [];

    /// <summary>Bytes the finished file has: dumplength when complete, else the end of the last stored byte.</summary>
    public required ulong LengthBytes { get; init; }

    /// <summary>Distinct bytes stored.</summary>
    public required ulong CoveredBytes { get; init; }

    /// <summary>Holes in <c>[0, LengthBytes)</c>, or in <c>[0, dumplength)</c> where a valid header tells it; at most <see cref="MaxListedRanges"/>.</summary>
    public required IReadOnlyList<ByteRange> Missing { get; init; }

    /// <summary>All missing bytes, also those of ranges not listed.</summary>
    public required ulong MissingBytes { get; init; }

    /// <summary>Number of holes, also those not listed.</summary>
    public required int MissingRanges { get; init; }

    /// <summary>Where a retransmission carried other bytes than its first transmission; at most <see cref="MaxListedRanges"/>.</summary>
    public required IReadOnlyList<ByteRange> Damaged { get; init; }

    /// <summary>Where a later packet legitimately rewrote stored bytes; at most <see cref="MaxListedRanges"/>.</summary>
    public required IReadOnlyList<ByteRange> Overwritten { get; init; }

    /// <summary>Missing bytes of which the file has something, from before the machine crashed, that nothing vouches for; at most <see cref="MaxListedRanges"/>.</summary>
    public IReadOnlyList<ByteRange> Unverified { get; init; } = [];

    /// <summary>All unverified bytes, also those of ranges not listed.</summary>
    public ulong UnverifiedBytes { get; init; }

    /// <summary>Number of unverified ranges, also those not listed.</summary>
    public int UnverifiedRanges { get; init; }

    /// <summary>The policy by which only the first bytes of the dump are stored, or null.</summary>
    public string? TruncatedBy { get; init; }

    /// <summary>By that policy what the file has beyond this offset is not the dump's; <see cref="ulong.MaxValue"/> where all is.</summary>
    public ulong KeptBytes { get; init; } = ulong.MaxValue;

    /// <summary>The first burst came at a stale offset and was moved to offset 0 (protocol.md, kernel bug 3).</summary>
    public required bool Relocated { get; init; }

    /// <summary>Payload bytes of a full packet, 0 when no burst had two packets.</summary>
    public required int PayloadBytes { get; init; }

    public required SessionCounters Counters { get; init; }

    public const int MaxListedRanges = 4096;

    /// <summary>The summary of a dump of which nothing is known but that its file is there.</summary>
    public static DumpSummary Unknown(EndReason reason, string? error) => new()
    {
        Status = DumpStatus.Incomplete,
        Reason = reason,
        Error = error,
        LengthBytes = 0,
        CoveredBytes = 0,
        Missing = [],
        MissingBytes = 0,
        MissingRanges = 0,
        Damaged = [],
        Overwritten = [],
        Relocated = false,
        PayloadBytes = 0,
        Counters = default,
    };
}

/// <summary>What a session counted.</summary>
public record struct SessionCounters
{
    /// <summary>Valid messages of any type.</summary>
    public long Packets { get; set; }

    /// <summary>Payload bytes of VMCORE messages, duplicates included.</summary>
    public long PayloadBytes { get; set; }

    /// <summary>Packets that repeated an earlier seqno.</summary>
    public long Retransmissions { get; set; }

    /// <summary>Acks released.</summary>
    public long Acks { get; set; }

    /// <summary>Bursts stored whole; 0 where packets are acked one by one and their end is not looked for.</summary>
    public long Bursts { get; set; }

    /// <summary>Bursts that went quiet while incomplete.</summary>
    public long QuietBursts { get; set; }

    /// <summary>Packets refused, whatever the reason.</summary>
    public long Rejected { get; set; }
}
