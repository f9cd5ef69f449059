namespace NetdumpCollector.Storage;

/// <summary>Several nodes have the dump directory in common, and each goes on with what another one began.</summary>
/// <param name="Node">This node's name, which no other node of the directory has; made fit for file names here.</param>
public sealed record DumpSharing(string Node)
{
    /// <summary>From one look into the list of running dumps to the next: what packets of flows that nobody knows cost the directory, however many come.</summary>
    public TimeSpan LookInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>As it is in file names.</summary>
    public string FileName => HostFileName.From(Node);
}
