using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    private readonly Lock _opening = new();
    private RunningDumps? _running;

    /// <summary>Other nodes use the directory too, and go on with dumps of this one as this one does with theirs; null: it is this collector's alone. To be set before use.</summary>
    public DumpSharing? Sharing { get; set; }

    /// <summary>Goes on with the dumps of a client whose packets come here and that this process does not know: from now on they are this node's. Blocks.</summary>
    /// <remarks>A dump that another node still receives is taken from it all the same; that node sees it (<see cref="DumpFile.IsSuperseded"/>) and lets go.</remarks>
    /// <param name="local">The server's address that the packets came to.</param>
    /// <param name="client">The host.</param>
    /// <param name="remotePort">The port they came from.</param>
    /// <param name="onProblem">Told, in words, of each dump that cannot be continued; its files stay as they are.</param>
    /// <returns>At most two, the newest first: a kernel that panicked anew has an older dump as well.</returns>
    public IReadOnlyList<InterruptedDump> TakeOverFlow(Ipv4 local, Ipv4 client, ushort remotePort, Action<string> onProblem) => throw new NotImplementedException();

    /// <summary>Takes dumps that no node receives any more, so that the caller ends and commits them, brings commits to their end whose node is gone, and removes what is left of dumps that are over. Blocks; for now and then.</summary>
    /// <param name="silence">A dump whose files have not changed for so long, by the file system's clock, is nobody's: longer than any node waits for a client.</param>
    /// <param name="onProblem">Told, in words, of each that cannot be dealt with; its files stay as they are.</param>
    /// <returns>Dumps to be ended (<see cref="InterruptedDump.Saved"/> is not null), and finished commits (<see cref="InterruptedDump.Committed"/>).</returns>
    public IReadOnlyList<InterruptedDump> ClaimAbandoned(TimeSpan silence, Action<string> onProblem) => throw new NotImplementedException();

    /// <summary>Makes the files of a dump that other nodes can go on with. Its entry first: what nobody finds was never promised.</summary>
    private DumpFile? TryCreateShared(DumpIdentity identity, DumpEndpoint endpoint, DumpFolder folder, string? refused, out string? error)
    {
        RunningDumps running;
        try
        {
            running = Running();
        }
        catch (StorageException e)
        {
            error = e.Message;
            return null;
        }

        if (!running.TryAdd(identity, folder.Relative, out error))
            return null;
        var shared = new SharedDump(identity, folder.Handle, epoch: 1, Sharing!.FileName, earlier: [], running);
        var file = TryCreate(identity, endpoint, folder, shared, refused, out error);
        if (file is null)
            running.Remove(RunningDumps.NameOf(identity));
        return file;
    }

    /// <summary>The list of the dumps that nodes share.</summary>
    /// <exception cref="StorageException">It cannot be made.</exception>
    internal RunningDumps Running()
    {
        lock (_opening)
            return _running ??= RunningDumps.Open(_handle, Root);
    }

    private CommittedDump CommitShared(DumpFile file, DumpSummary summary, DumpCircumstances circumstances, Action? onPromised) => throw new NotImplementedException();
}
