using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Storage;

/// <summary>A dump that an earlier process left, ready to be continued: its files are open and locked.</summary>
/// <param name="File">Its files. The data file is closed where <paramref name="Saved"/> is null.</param>
/// <param name="Saved">What its session was at; null where the dump is durable and only FINISHED may still have to be answered.</param>
/// <param name="IsWhole">Durable, and FINISHED may be acked.</param>
/// <param name="MachineCrashed">The machine was started anew since, or the file system mounted anew after an error: only what a checkpoint vouches for is sure to be there.</param>
public sealed record InterruptedDump(DumpFile File, SavedSession? Saved, bool IsWhole, bool MachineCrashed)
{
    /// <summary>The commit of another node that this one has brought to its end: what follows a commit is the caller's. Null otherwise.</summary>
    public CommittedDump? Committed { get; init; }
}
