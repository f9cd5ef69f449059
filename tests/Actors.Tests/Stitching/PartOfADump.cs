using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Stitching;

/// <summary>Manifests of parts.</summary>
internal static class PartOfADump
{
    public const string Id = "20261121T013940Z-00000001";

    /// <summary>The beginning of a dump that timed out.</summary>
    public static Manifest Beginning { get; } = new()
    {
        Id = Id,
        Client = "10.0.0.1",
        Host = "web",
        Index = 0,
        StartedAt = DateTimeOffset.UnixEpoch,
        EndedAt = DateTimeOffset.UnixEpoch,
        DurationSeconds = 1,
        Status = DumpStatus.Incomplete,
        Reason = EndReason.ClientTimedOut,
        Bytes = 4096,
        CoveredBytes = 4096,
        Endpoint = new("shared", "10.0.0.2", 20023),
        Packets = 1,
        Retransmissions = 0,
        Bursts = 1,
        QuietBursts = 0,
        Acks = 1,
        Rejected = 0,
        PayloadBytes = 4096,
        PacketPayloadBytes = 1400,
        Missing = [],
        MissingBytes = 0,
        MissingRanges = 0,
        Damaged = [],
        Overwritten = [],
        Relocated = false,
        HashState = HashState.Off,
        Files = new("vmcore.web.0", "info.web.0", "key.web.0"),
    };

    public static ManifestKdh Header { get; } = new()
    {
        Valid = true,
        ParityPasses = true,
        Magic = "FreeBSD Kernel Dump",
        Architecture = "amd64",
        Version = 4,
        ArchitectureVersion = 2,
        DumpLength = 8192,
        DumpTime = DateTimeOffset.UnixEpoch,
        DumpKeySize = 0,
        BlockSize = 512,
        Compression = "none",
        Hostname = "web",
        VersionString = "FreeBSD",
        PanicString = "panic",
    };
}
