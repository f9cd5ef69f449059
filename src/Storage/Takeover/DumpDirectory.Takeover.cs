using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

public sealed partial class DumpDirectory
{
    private const int MaxDumpsOfFlow = 2;

    /// <summary>A commit whose owner has left no trace for so long is brought to its end by others, who may then do the same as it; no kernel waits for it.</summary>
    private static readonly TimeSpan s_commitPatience = TimeSpan.FromMinutes(1);

    private readonly Lock _opening = new();
    private RunningDumps? _running;
    private FlowLooks? _looks;

    /// <summary>Other nodes use the directory too, and go on with dumps of this one as this one does with theirs; null: it is this collector's alone. To be set before use.</summary>
    public DumpSharing? Sharing
    {
        get;
        set => (field, _looks) = (value, value is null ? null : new(Running, value.LookInterval));
    }

    /// <summary>The number of the next look into the list of running dumps: that one sees what is there now. Never blocks.</summary>
    public long NextLook => _looks?.Next ?? 0;

    /// <summary>Goes on with the dumps of a client whose packets come here and that this process does not know: from now on they are this node's. Blocks.</summary>
    /// <remarks>A dump that another node still receives is taken from it all the same; that node sees it (<see cref="DumpFile.IsSuperseded"/>) and lets go. What this process receives itself is left out.</remarks>
    /// <param name="local">The server's address that the packets came to. Not necessarily the one that the dump began at: behind a load balancer each node has its own.</param>
    /// <param name="client">The host.</param>
    /// <param name="remotePort">The port they came from.</param>
    /// <param name="onProblem">Told, in words, of each dump that cannot be continued; its files stay as they are.</param>
    /// <param name="asked"><see cref="NextLook"/> when the packets came; null: now.</param>
    /// <returns>At most two, the newest first: a kernel that panicked anew has an older dump as well.</returns>
    /// <exception cref="StorageException">The list of running dumps cannot be read.</exception>
    public IReadOnlyList<InterruptedDump> TakeOverFlow(Ipv4 local, Ipv4 client, ushort remotePort, Action<string> onProblem, long? asked = null)
    {
        var taken = new List<InterruptedDump>();
        if (_looks is not { } looks)
            return taken;

        foreach (var entry in looks.Get(asked ?? looks.Next).EntriesOf(client))
        {
            // Somebody's dump of whose client others send made-up packets must not be looked at for each.
            if (!looks.MayBe(entry.Key, remotePort))
                continue;
            try
            {
                if (TakeOverShared(entry, IsOfFlow, local) is not { } dump)
                    continue;
                taken.Add(dump);
                if (taken.Count == MaxDumpsOfFlow)
                    break;
            }
            catch (Exception e)
            {
                // Whatever it is: the client's other dumps are not to wait for it.
                onProblem(e is StorageException ? e.Message : $"{entry.Key}: {e}");
            }
        }

        return taken;

        bool IsOfFlow(DumpFolder folder, OwnerChain chain)
        {
            looks.Learn(RunningDumps.NameOf(chain.Identity), chain.Endpoint.RemotePort);
            return chain.Endpoint.RemotePort == remotePort;
        }
    }

    /// <summary>The newest herald of a flow that some node has answered; null where there is none. Nothing is taken from that node. Blocks.</summary>
    /// <param name="heraldPort">The herald port.</param>
    /// <param name="local">The server's address that the flow's packets come to now; behind a load balancer the herald came to another node's.</param>
    /// <param name="client">The host.</param>
    /// <param name="remotePort">The port they come from.</param>
    /// <param name="asked"><see cref="NextLook"/> when the packets came; null: now.</param>
    /// <exception cref="StorageException">The nodes' files cannot be looked for.</exception>
    public HeraldRecord? FindHerald(ushort heraldPort, Ipv4 local, Ipv4 client, ushort remotePort, long? asked = null) =>
        _looks is { } looks && looks.Get(asked ?? looks.Next).HeraldOf(heraldPort, client, remotePort) is { } herald ? herald with { Endpoint = herald.Endpoint with { Local = local } } : null;

    /// <summary>Another node has begun the dump of a herald that this one knows of as well, or a later one of the same flow. What a node left that was killed before it came to that is removed. Blocks.</summary>
    /// <param name="identity">The dump as it would be begun here: the same on every node that knows of the herald (<see cref="DumpId.Of"/>).</param>
    /// <param name="remotePort">The port its packets come from.</param>
    /// <exception cref="StorageException">The directory does not tell.</exception>
    public bool IsBegunElsewhere(DumpIdentity identity, ushort remotePort)
    {
        if (Sharing is null)
            return false;

        foreach (var entry in Running().Read(identity.Client))
        {
            try
            {
                if (IsBegun(entry, identity, remotePort))
                    return true;
            }
            catch (StorageException) when (entry.Id != identity.Id)
            {
                // What is wrong with another dump of the host, whose directory somebody has removed for instance, must not keep it from dumping.
            }
        }

        return false;
    }

    private bool IsBegun(RunningEntry entry, DumpIdentity identity, ushort remotePort)
    {
        using var folder = FolderOf(entry);
        var chain = OwnerChain.Read(folder, entry.Name);
        return chain is null
            ? entry.Id == identity.Id && !TryRemoveBeginning(folder, entry)
            : chain.Endpoint.RemotePort == remotePort && chain.Identity.StartedAt >= identity.StartedAt && (entry.Id == identity.Id || !Running().IsOwner(chain.Identity, chain.LastEpoch));
    }

    /// <summary>Removes what a node made of a dump before its ledger told whose it is, which is before it could ack anything. It may only be slow.</summary>
    /// <returns>False where the dump has been begun meanwhile.</returns>
    private bool TryRemoveBeginning(DumpFolder folder, RunningEntry entry)
    {
        string ledgerName = SegmentName.LedgerOf(entry.Name, 1);
        using (var ledger = OwnerChain.Open(folder, ledgerName))
        {
            if (ledger is not null)
            {
                // First, so that who made it sees before its next ack that it is no owner; what it has acked by then is read after that.
                if (Posix.MakeReadOnly(ledger) is not 0 and var errno)
                    throw new StorageException($"{folder.PathOf(ledgerName)}: is the beginning of a dump and cannot be taken from its owner: {Errno.Words(errno)}");
                if (OwnerChain.Read(folder, entry.Name) is not null)
                    return false;
                _ = Posix.Unlink(folder.Handle, ledgerName);
            }
        }

        _ = Posix.Unlink(folder.Handle, entry.Name);
        Running().Remove(entry.Key);
        return true;
    }

    /// <summary>Takes dumps that no node receives any more, so that the caller ends and commits them, brings commits to their end whose node is gone, and removes what is left of dumps that are over. Blocks; for now and then.</summary>
    /// <param name="silence">A dump whose files have not changed for so long, by the file system's clock, is nobody's: longer than any node waits for a client.</param>
    /// <param name="onProblem">Told, in words, of each that cannot be dealt with; its files stay as they are.</param>
    /// <returns>Dumps to be ended (<see cref="InterruptedDump.Saved"/> is not null), and finished commits (<see cref="InterruptedDump.Committed"/>).</returns>
    public IReadOnlyList<InterruptedDump> ClaimAbandoned(TimeSpan silence, Action<string> onProblem)
    {
        var claimed = new List<InterruptedDump>();
        if (Sharing is null)
            return claimed;

        var entries = Entries(onProblem, out var now);
        RemoveLooks(now - s_commitPatience);
        foreach (var entry in entries)
        {
            try
            {
                if (ClaimIfAbandoned(entry, now, silence) is { } dump)
                    claimed.Add(dump);
            }
            catch (Exception e)
            {
                onProblem(e is StorageException ? e.Message : $"{entry.Key}: {e}");
            }
        }

        return claimed;
    }

    /// <summary>The running dumps as every node sees them; none where the list cannot be read.</summary>
    private IReadOnlyList<RunningEntry> Entries(Action<string> onProblem, out DateTimeOffset now)
    {
        now = default;
        try
        {
            var running = Running();
            now = running.Touch();
            return running.Read();
        }
        catch (StorageException e)
        {
            onProblem(e.Message);
            return [];
        }
    }

    /// <summary>Removes what nodes left that were killed while they looked.</summary>
    private void RemoveLooks(DateTimeOffset before)
    {
        try
        {
            Running().RemoveLooks(before);
        }
        catch (StorageException)
        {
            // The list could not be read a moment ago either, of which was told.
        }
    }

    /// <summary>Null where the dump is somebody's, or where nothing of it is left for the caller to do.</summary>
    private InterruptedDump? ClaimIfAbandoned(RunningEntry entry, DateTimeOffset now, TimeSpan silence)
    {
        bool isThere = false;
        var dump = TakeOverShared(entry, (folder, chain) =>
        {
            isThere = true;
            return SharedRemoval.NewestChange(folder, entry.Name) <= (chain.Marker is null || silence < s_commitPatience ? now - silence : now - s_commitPatience);
        });
        if (!isThere)
        {
            // Killed while it made the files, or while it removed them.
            using var folder = FolderOf(entry);
            var before = now - silence;
            if (Running().MadeAt(entry.Key) <= before && (SharedRemoval.NewestChangeOfAny(folder, entry.Name) ?? before) <= before)
                SharedRemoval.RemoveLeft(folder, entry, Running());
        }

        if (dump is not { Saved: null })
            return dump;

        // Ended, and its owner did not see to the rest.
        try
        {
            if (Finish(dump.File, dump.File.Commit!) is { IsElsewhere: false } committed)
                return dump with { Committed = committed };
        }
        catch
        {
            dump.File.Dispose();
            throw;
        }

        dump.File.RemoveLedger();
        return null;
    }

    /// <summary>The ledger is the first one of a dump that nodes share.</summary>
    /// <param name="ledgerPath">The ledger.</param>
    /// <param name="onProblem">Told, in words, where nobody would go on with it because this directory is not shared any more.</param>
    private bool IsShared(string ledgerPath, Action<string> onProblem)
    {
        string key = Path.GetFileName(ledgerPath)[DumpFile.NamePrefix.Length..^DumpFile.LedgerSuffix.Length];
        // One call where nothing was ever shared.
        if (Posix.KindOf(_handle, RunningDumps.DirectoryName) == NameKind.Missing
            || Posix.KindOf(_handle, $"{RunningDumps.DirectoryName}/{key}") == NameKind.Missing)
            return false;
        if (Sharing is null)
            onProblem($"ledger {ledgerPath}: its dump is one that nodes share; start with --takeover to go on with it, or to have it ended");
        return true;
    }

    /// <summary>Makes the files of a dump that other nodes can go on with. Its entry first: what nobody finds was never promised.</summary>
    private DumpFile? TryCreateShared(DumpIdentity identity, DumpEndpoint endpoint, DumpFolder folder, string? refused, out string? error)
    {
        if (TryAddEntry(identity, folder.Relative, out error) is not { } running)
            return null;
        ulong entry = running.InodeOf(identity);
        running.OnStep?.Invoke(SharedStep.EntryMade);
        var shared = new SharedDump(identity, folder.Handle, epoch: 1, Sharing!.FileName, earlier: [], running);
        var file = TryCreate(identity, endpoint, folder, shared, refused, out error);
        // Only whoever has the entry: where this node was paused, another one may have taken it for what a dead one had left, and begun the dump.
        if (file is null && running.InodeOf(identity) == entry && TryRemoveUnlisted(folder, DumpFile.NameOf(identity), ref error))
            file = TryCreate(identity, endpoint, folder, shared, refused, out error);
        if (file is null)
        {
            shared.Dispose();
            // Another node may have begun the dump while this one was paused, and then the entry is its.
            if (running.InodeOf(identity) == entry)
                running.Remove(RunningDumps.NameOf(identity));
        }
        else if (!file.TrySyncBeginning(out error) || !IsListed(file, running, entry, out error))
        {
            file.Discard();
            file = null;
        }

        return file;
    }

    /// <summary>Names and entry are still the ones that were made: where this node was paused meanwhile, another one may have taken them for what a dead one had left.</summary>
    private static bool IsListed(DumpFile file, RunningDumps running, ulong entry, out string? error)
    {
        bool isListed = entry != 0 && running.InodeOf(file.Identity) == entry && file.IsCalled(file.Name) && !file.IsSuperseded();
        error = isListed ? null : $"{file.PartialPath}: another node has removed what this one had begun";
        return isListed;
    }

    /// <summary>Removes what a machine that crashed left of a dump whose entry it had not made durable, which it had to before its first ack. Whoever has the entry is alone with the dump's names.</summary>
    /// <param name="folder">The dump's directory.</param>
    /// <param name="name">What its files' names begin with.</param>
    /// <param name="error">Becomes why what is there must stay, where it must.</param>
    /// <returns>Something was there and is gone.</returns>
    private static bool TryRemoveUnlisted(DumpFolder folder, string name, ref string? error)
    {
        string ledgerName = SegmentName.LedgerOf(name, 1);
        try
        {
            using var ledger = OwnerChain.Open(folder, ledgerName);
            if (ledger is null)
                return Posix.Unlink(folder.Handle, name) == 0;
            // As with a beginning: who made it sees before its next ack that it is no owner, and what it has acked by then is read after that.
            if (LedgerFile.Read(ledger, folder.PathOf(ledgerName)).State is null && Posix.MakeReadOnly(ledger) == 0 && LedgerFile.Read(ledger, folder.PathOf(ledgerName)).State is null
                && Posix.IsNameOf(Posix.InodeOf(ledger), folder.Handle, ledgerName))
                return (Posix.Unlink(folder.Handle, ledgerName) == 0) | (Posix.Unlink(folder.Handle, name) == 0);
            error = $"{folder.PathOf(ledgerName)}: is the ledger of a dump whose entry in {RunningDumps.DirectoryName} somebody has removed";
        }
        catch (StorageException e)
        {
            error = e.Message;
        }

        return false;
    }

    /// <summary>Makes the dump's entry; where the list has been removed since it was opened, in a new one.</summary>
    private RunningDumps? TryAddEntry(DumpIdentity identity, string relative, out string? error)
    {
        error = null;
        try
        {
            var running = Running();
            int errno = running.Add(identity, relative, out error);
            if (errno == 0)
                return running;
            if (errno != Errno.ENOENT && errno != Errno.ESTALE)
                return null;
            using var root = Posix.Open(Root, Posix.O_RDONLY | Posix.O_DIRECTORY);
            if (root is null)
                return null;
            lock (_opening)
                running = _running = RunningDumps.Open(root, Root, former: running);
            return running.Add(identity, relative, out error) == 0 ? running : null;
        }
        catch (StorageException e)
        {
            error ??= e.Message;
            return null;
        }
    }

    /// <summary>The list of the dumps that nodes share.</summary>
    /// <exception cref="StorageException">It cannot be made.</exception>
    internal RunningDumps Running()
    {
        lock (_opening)
            return _running ??= RunningDumps.Open(_handle, Root);
    }
}
