namespace NetdumpCollector.Storage;

/// <summary>How far the commit of a shared dump has come on this node, from its marker on.</summary>
internal sealed class SharedCommit(CommitMarker marker)
{
    public CommitMarker Marker { get; } = marker;

    /// <summary>This process named the marker; otherwise another one did, and may have been killed since in the middle of anything.</summary>
    public bool IsOwn { get; init; }

    /// <summary>Why the dump is described as a write error although it had ended well, in words, or null.</summary>
    public string? Failure { get; init; }

    /// <summary>The marker outlives a crash: any node would bring the commit to its end.</summary>
    public bool IsPromised { get; set; }

    /// <summary>This node gave the manifest its name, and sees to what follows.</summary>
    public bool IsPublisher { get; set; }
}
