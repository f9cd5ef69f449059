namespace NetdumpCollector.Storage.Fleet;

/// <summary>An ended dump as the catalogue has it.</summary>
/// <param name="Id">Its identity.</param>
/// <param name="Node">The node that told of it last.</param>
/// <param name="Directory">Number of the dump directory it lies in, or lay in.</param>
/// <param name="Path">Path of its data from there; null where it does not lie there any more.</param>
/// <param name="Url">Where the object store has it, or null.</param>
/// <param name="Host">As in the file names.</param>
/// <param name="Client">The client's address.</param>
/// <param name="StartedAt">When its herald came.</param>
/// <param name="Bytes">Length of the file.</param>
/// <param name="Status">As in the manifest.</param>
/// <param name="Panic">The panic message of its header, or null.</param>
/// <param name="Pinned">Retention never deletes it.</param>
/// <param name="Continues">The dump whose part this is, or null.</param>
/// <param name="Within">The whole dump that this part is inside of, or null.</param>
/// <param name="Manifest">The manifest; null where it was not asked for.</param>
public sealed record FleetDump(string Id, string Node, Guid Directory, string? Path, string? Url, string Host, string Client, DateTimeOffset StartedAt, long Bytes, string Status, string? Panic,
    bool Pinned, string? Continues, string? Within, string? Manifest);

/// <summary>Which ended dumps are asked for.</summary>
public sealed record FleetDumpQuery
{
    /// <summary>Dumps of this directory are left out.</summary>
    public Guid? NotIn { get; init; }

    public string? Status { get; init; }
    public string? Host { get; init; }
    public string? Client { get; init; }

    /// <summary>A part of the panic message, whatever its case.</summary>
    public string? Panic { get; init; }
    public DateTimeOffset? Since { get; init; }
    public DateTimeOffset? Until { get; init; }

    /// <summary>startedAt, bytes, host or status; rows that are equal by it come by their ids.</summary>
    public string Order { get; init; } = "startedAt";
    public bool IsDescending { get; init; }

    /// <summary>So many of the first rows.</summary>
    public int Limit { get; init; } = 1000;
}
