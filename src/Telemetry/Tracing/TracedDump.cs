using NetdumpCollector.Protocol;

namespace NetdumpCollector.Telemetry.Tracing;

/// <summary>What is known of a dump when its trace begins.</summary>
public sealed record TracedDump
{
    public required string Id { get; init; }

    public required Ipv4 Client { get; init; }

    /// <summary>The address that the client dumps to.</summary>
    public required Ipv4 LocalAddress { get; init; }

    /// <summary>The UDP port that the client sends to.</summary>
    public required ushort LocalPort { get; init; }

    /// <summary>"ephemeral" or "shared".</summary>
    public required string Endpoint { get; init; }

    /// <summary>When the herald came, by the machine's clock.</summary>
    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>When the first packet after the herald came, or where an earlier process had the dump: when this one took over; monotonic, in microseconds.</summary>
    public required long DataUs { get; init; }

    /// <summary>An earlier process has received so many bytes of the dump; null where none has.</summary>
    public ulong? ResumedBytes { get; init; }
}
