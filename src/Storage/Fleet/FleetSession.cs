using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>A dump that has not ended, as its node last told of it.</summary>
public sealed record FleetSession
{
    public required string DumpId { get; init; }

    /// <summary>Name of the node that receives it, or did.</summary>
    public required string Node { get; init; }

    public required Ipv4 Client { get; init; }

    /// <summary>UDP port that its packets come from; 0 where the session is told by its own port alone.</summary>
    public required ushort ClientPort { get; init; }

    /// <summary>The client's name, null while it is not known.</summary>
    public required string? Host { get; init; }

    /// <summary>"ephemeral" or "shared".</summary>
    public required string Endpoint { get; init; }

    /// <summary>Local address and UDP port that the client sends to.</summary>
    public required Ipv4 EndpointAddress { get; init; }
    public required ushort EndpointPort { get; init; }

    /// <summary>Path of its data from the dump directory.</summary>
    public required string Path { get; init; }

    /// <summary>As the API calls it: receiving, ending.</summary>
    public required string Phase { get; init; }

    /// <summary>Counts the nodes that have had the dump, from 1.</summary>
    public required int Epoch { get; init; }

    /// <summary>Distinct bytes stored.</summary>
    public required long Bytes { get; init; }
    public required long? TotalBytes { get; init; }
    public required long? ExpectedBytes { get; init; }
    public required long Packets { get; init; }
    public required long Repeated { get; init; }

    /// <summary>How long ago its last packet came.</summary>
    public required double SilentSeconds { get; init; }

    /// <summary>Why it cannot be stored now, or null.</summary>
    public required string? Error { get; init; }
    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>The dump whose part this is, null where it began here; see <see cref="DumpContinuation"/>.</summary>
    public string? Continues { get; init; }

    /// <summary>Its kernel may still be there after <paramref name="silence"/>: it was heard of when its node was, and waits for an ack for some seconds.</summary>
    public bool IsAliveAfter(TimeSpan silence) => Phase == "receiving" && silence < s_longestSilence;

    /// <summary>A kernel gives up after 12 s; a catalogue that was away itself may have told late.</summary>
    private static readonly TimeSpan s_longestSilence = TimeSpan.FromSeconds(60);

    /// <summary>What a node notes that goes on with it and has nothing of it.</summary>
    public DumpContinuation ContinueElsewhere() => new(Continues ?? DumpId, Node, Epoch);
}
