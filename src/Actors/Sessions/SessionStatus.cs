using NetdumpCollector.Protocol;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Actors.Sessions;

/// <summary>How far a session is, for those who watch.</summary>
public sealed record SessionStatus
{
    public required Ipv4 Client { get; init; }

    /// <summary>The client's name, null while it is not known.</summary>
    public required string? Host { get; init; }

    public required SessionPhase Phase { get; init; }

    /// <summary>When the herald came.</summary>
    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>How long ago the last packet came.</summary>
    public required TimeSpan Silence { get; init; }

    /// <summary>Distinct bytes stored.</summary>
    public required ulong CoveredBytes { get; init; }

    /// <summary>Bytes of the whole dump, once its header has come.</summary>
    public required ulong? DumpBytes { get; init; }

    /// <summary>Bytes that the whole dump will have, as its header or, before that comes, the bitmap of pages at its start says; null while that has not come, and for dumps that have none (compressed, encrypted, full).</summary>
    public required ulong? ExpectedBytes { get; init; }

    /// <summary>Identity of the dump, null before its files are open and after they are committed.</summary>
    public required string? DumpId { get; init; }

    /// <summary>Absolute path of the dump's data while it arrives.</summary>
    public required string? File { get; init; }

    /// <summary>UDP port that the client sends to.</summary>
    public required ushort Port { get; init; }

    /// <summary>Local address that the client sends to.</summary>
    public required Ipv4 Local { get; init; }

    /// <summary>UDP port that the client's packets come from; 0 where the session has a port of its own.</summary>
    public required ushort ClientPort { get; init; }

    /// <summary>Counts the nodes that have had the dump, from 1; 0 before its files are open.</summary>
    public required int Epoch { get; init; }

    /// <summary>The dump whose part this is, null where it began here or has no files yet.</summary>
    public string? Continues { get; init; }

    /// <summary>"ephemeral" or "shared".</summary>
    public required string Endpoint { get; init; }

    /// <summary>Messages of the client that were used.</summary>
    public required long Packets { get; init; }

    /// <summary>Packets that repeated an earlier one.</summary>
    public required long Repeated { get; init; }

    /// <summary>Why the dump cannot be stored now, or null.</summary>
    public required string? WriteError { get; init; }
}
