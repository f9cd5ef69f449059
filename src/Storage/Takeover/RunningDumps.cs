using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A dump that some node receives, or has received and still answers for.</summary>
/// <param name="Client">The host that dumps.</param>
/// <param name="Id">The dump's id.</param>
/// <param name="Relative">Path of the directory of its files from the dump directory, empty for that itself.</param>
internal sealed record RunningEntry(Ipv4 Client, string Id, string Relative)
{
    public string Key => $"{Client}.{Id}";

    /// <summary>What its files' names begin with.</summary>
    public string Name => DumpFile.NamePrefix + Key;
}

/// <summary>The list of running dumps that nodes share: in <c>.running</c> each has a symbolic link <c>IP.ID</c> to the directory of its files, so that nobody has to search all dumps for it.</summary>
/// <remarks>An entry is made before its dump's files and removed behind them.</remarks>
internal sealed class RunningDumps : IDisposable
{
    public const string DirectoryName = ".running";

    /// <summary>Links lead from <c>.running</c>.</summary>
    private const string Up = "..";

    private const string LookPrefix = ".look.";
    private const string NodePrefix = "node.";

    private readonly string _path;

    /// <summary>The newest owner of a dump that this process is, by the dump's key, as long as its files are open.</summary>
    private readonly ConcurrentDictionary<string, int> _owned;

    private RunningDumps(SafeFileHandle handle, string path, ConcurrentDictionary<string, int> owned)
    {
        Handle = handle;
        _path = path;
        _owned = owned;
    }

    public SafeFileHandle Handle { get; }

    /// <summary>What takes the right to write from a file is seen by whoever has it open; false on a file system that has no modes.</summary>
    public bool HeedsModes { get; private set; }

    /// <summary>For tests, which do something else between two steps, or stop.</summary>
    public Action<SharedStep>? OnStep { get; set; }

    /// <summary>Opens the list and makes it when it is missing.</summary>
    /// <param name="root">The dump directory.</param>
    /// <param name="rootPath">Its absolute path.</param>
    /// <param name="former">The list that this one takes the place of, or null.</param>
    /// <exception cref="StorageException">It cannot be made or written to, or the system cannot tell what sharing needs to know.</exception>
    public static RunningDumps Open(SafeFileHandle root, string rootPath, RunningDumps? former = null)
    {
        string path = Path.Join(rootPath, DirectoryName);
        if (Posix.MakeDirectory(root, DirectoryName) is not 0 and var errno)
            throw new StorageException($"{path}: cannot be created: {Errno.Words(errno)}");
        var handle = Posix.OpenAt(root, DirectoryName, Posix.O_RDONLY | Posix.O_DIRECTORY | Posix.O_NOFOLLOW) ?? throw new StorageException($"{path}: {Errno.Words(Errno.Last)}");
        var running = new RunningDumps(handle, path, former?._owned ?? []);
        try
        {
            _ = running.Look(file => running.HeedsModes = Posix.MakeReadOnly(file) == 0 && !Posix.IsNamedAndWritable(file));
            if (Posix.SyncDirectory(root) is not 0 and var syncError)
                throw new StorageException($"directory {rootPath}: not durable, fsync failed: {Errno.Words(syncError)}");
            return running;
        }
        catch
        {
            running.Dispose();
            throw;
        }
    }

    /// <summary>Makes the dump's entry.</summary>
    /// <param name="identity">The dump.</param>
    /// <param name="relative">Path of the directory of its files from the dump directory.</param>
    /// <param name="error">Why it cannot be made, in words, or null.</param>
    /// <returns>0 or the error; ENOENT, or ESTALE of a network file system, where the list has been removed.</returns>
    public int Add(DumpIdentity identity, string relative, out string? error)
    {
        string name = NameOf(identity);
        int errno = Posix.Symlink(relative.Length == 0 ? Up : $"{Up}/{relative}", Handle, name);
        error = errno == 0 ? null : $"{Path.Join(_path, name)}: cannot be created: {Errno.Words(errno)}";
        return errno;
    }

    /// <summary>Tells the dump's entry from one that is made in its place; 0 where there is none.</summary>
    public ulong InodeOf(DumpIdentity identity) => Posix.InodeOf(Handle, NameOf(identity));

    /// <summary>This process is the owner from now on.</summary>
    public void Own(DumpIdentity identity, int epoch) => _owned[NameOf(identity)] = epoch;

    /// <summary>It has closed the owner's files.</summary>
    public void Disown(DumpIdentity identity, int epoch) => _owned.TryRemove(new(NameOf(identity), epoch));

    /// <summary>This process is the owner, and its files are open.</summary>
    public bool IsOwner(DumpIdentity identity, int epoch) => _owned.TryGetValue(NameOf(identity), out int own) && own == epoch;

    public void Remove(string key) => _ = Posix.Unlink(Handle, key);

    public static string NameOf(DumpIdentity identity) => $"{identity.Client}.{identity.Id}";

    /// <summary>Waits until the entries are on the device; why they are not, or null.</summary>
    public string? Sync() => Posix.SyncDirectory(Handle) is not 0 and var errno ? $"directory {_path}: not durable, fsync failed: {Errno.Words(errno)}" : null;

    /// <summary>Makes a file and removes it: what other nodes have made is seen from then on, whatever this machine had cached of the directory.</summary>
    /// <returns>The time by the file system's clock.</returns>
    /// <exception cref="StorageException">That cannot be done.</exception>
    public DateTimeOffset Touch() => Look(onMade: null);

    private DateTimeOffset Look(Action<SafeFileHandle>? onMade)
    {
        string name = $"{LookPrefix}{Guid.NewGuid():n}.tmp";
        FileTimes? times;
        using (var file = Posix.OpenAt(Handle, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, Posix.FileMode)
            ?? throw new StorageException($"{_path} is not writable: {Errno.Words(Errno.Last)}"))
        {
            times = Posix.IsNamedAndWritable(file) ? Posix.TimesOf(Handle, name) : null;
            onMade?.Invoke(file);
        }

        _ = Posix.Unlink(Handle, name);
        return times?.ModifiedAt ?? throw new StorageException($"{_path}: the system does not tell what has become of a file (statx); a dump directory cannot be shared here");
    }

    /// <summary>Removes files of <see cref="Touch"/> whose makers were killed before they did.</summary>
    /// <param name="before">Only those that were made by then, by the file system's clock.</param>
    /// <exception cref="StorageException">The list cannot be read.</exception>
    public void RemoveLooks(DateTimeOffset before)
    {
        foreach (string name in NamesOf(LookPrefix))
        {
            if (MadeAt(name) <= before)
                Remove(name);
        }
    }

    /// <summary>Has the node's sign of life made now.</summary>
    public void NoteLife(string node)
    {
        using var sign = Posix.OpenAt(Handle, NodePrefix + node, Posix.O_RDWR | Posix.O_CREAT | Posix.O_NOFOLLOW | Posix.O_NONBLOCK, Posix.FileMode);
        // Where it cannot be made others may take this node for gone, which does no harm but that a script runs twice.
        if (sign is not null)
            _ = Posix.WriteAt(sign, "\n"u8, 0);
    }

    /// <summary>Nodes whose last sign of life is not younger than that, by the file system's clock.</summary>
    /// <exception cref="StorageException">The list cannot be read.</exception>
    public IReadOnlyList<string> GoneNodes(DateTimeOffset before) =>
        [.. NamesOf(NodePrefix).Where(name => MadeAt(name) <= before).Select(name => name[NodePrefix.Length..])];

    /// <summary>Nothing is left of a node that is gone.</summary>
    public void ForgetNode(string node) => Remove(NodePrefix + node);

    /// <summary>When the entry was made, or the sign; null where there is none.</summary>
    public DateTimeOffset? MadeAt(string key) => Posix.TimesOf(Handle, key)?.ModifiedAt;

    /// <summary>The dumps of <paramref name="client"/>, or all, the newest first. What is no entry is not there.</summary>
    /// <exception cref="StorageException">The list cannot be read.</exception>
    public IReadOnlyList<RunningEntry> Read(Ipv4? client = null)
    {
        return [.. (client is Ipv4 its ? NamesOf($"{its}.") : Keys()).Select(EntryOf).OfType<RunningEntry>().OrderByDescending(entry => entry.Id, StringComparer.Ordinal)];
    }

    /// <summary>What entries are called, whatever is wrong with them.</summary>
    /// <exception cref="StorageException">The list cannot be read.</exception>
    public IReadOnlyList<string> Keys() => [.. NamesOf("").Where(name => char.IsAsciiDigit(name[0]))];

    /// <summary>The client's address as it stands in an entry's name.</summary>
    public static string ClientOf(string key) => key.LastIndexOf('.') is > 0 and var dot ? key[..dot] : key;

    /// <summary>Names of entries, and of files beside them, that begin so.</summary>
    /// <exception cref="StorageException">The list cannot be read.</exception>
    public IReadOnlyList<string> NamesOf(string prefix) => Posix.NamesIn(Handle, prefix) ?? throw new StorageException($"{_path} cannot be read: {Errno.Words(Errno.Last)}");

    public void Dispose() => Handle.Dispose();

    /// <summary>The entry of that name; null where it is none, or gone.</summary>
    public RunningEntry? EntryOf(string name)
    {
        int dot = name.LastIndexOf('.');
        if (dot <= 0 || !Ipv4.TryParse(name[..dot], out var client) || dot + 1 == name.Length || Posix.TargetOf(Handle, name) is not string target)
            return null;
        if (target == Up)
            return new(client, name[(dot + 1)..], "");
        return target.StartsWith($"{Up}/", StringComparison.Ordinal) ? new(client, name[(dot + 1)..], target[(Up.Length + 1)..]) : null;
    }
}
