using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>What the server knows of an ended dump beside what its session knows.</summary>
public sealed record DumpCircumstances
{
    /// <summary>The host's name, or its address; made fit for file names here.</summary>
    public required string Host { get; init; }

    /// <summary>"ephemeral" or "shared".</summary>
    public required string Endpoint { get; init; }
    public required Ipv4 LocalAddress { get; init; }
    public required ushort LocalPort { get; init; }
    public required DateTimeOffset EndedAt { get; init; }
    public required TimeSpan Duration { get; init; }

    /// <summary>What the manifest says of the hash until there is one.</summary>
    public HashState Hash { get; init; } = HashState.Pending;

    /// <summary>A script runs after the dump.</summary>
    public bool HasScript { get; init; }
}

/// <summary>A dump under its final names.</summary>
/// <param name="Id">The dump's id, as before.</param>
/// <param name="ManifestPath">Absolute path of the manifest.</param>
/// <param name="InfoFile">Path from the dump directory, as the script gets it.</param>
/// <param name="CoreFile">Path from the dump directory, as the script gets it.</param>
/// <param name="Manifest">What the manifest says.</param>
public sealed record CommittedDump(string Id, string ManifestPath, string InfoFile, string CoreFile, Manifest Manifest)
{
    /// <summary>Which of bounds and the <c>.last</c> links could not be made to lead to it, and why, in words; null when all do, or lead to a newer dump.</summary>
    public string? PointerProblem { get; init; }

    /// <summary>Another node of a shared directory has brought the commit to its end, and sees to what follows.</summary>
    public bool IsElsewhere { get; init; }
}
