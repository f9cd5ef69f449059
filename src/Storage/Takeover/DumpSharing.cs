namespace NetdumpCollector.Storage;

/// <summary>Several nodes have the dump directory in common, and each goes on with what another one began.</summary>
/// <param name="Node">This node's name, which no other node of the directory has; made fit for file names here.</param>
public sealed record DumpSharing(string Node)
{
    /// <summary>As it is in file names.</summary>
    public string FileName => HostFileName.From(Node);
}
