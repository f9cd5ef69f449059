using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>The directory that dumps land in. Thread-safe; every call may block on the device.</summary>
/// <remarks>
/// While a dump runs it is <c>partial.IP.ID</c> with a ledger beside it; when it ends, <see cref="Commit"/> gives it netdumpd's names.
/// Its names are resolved relative to open directories, never again from the root of the file system.
/// </remarks>
public sealed partial class DumpDirectory : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly ContainedPath _contained;
    private readonly string? _defaultPath;

    private DumpDirectory(string root, SafeFileHandle handle, string? defaultPath, bool allowKernel)
    {
        Root = root;
        _handle = handle;
        _defaultPath = string.IsNullOrEmpty(defaultPath) ? null : defaultPath;
        _contained = new(handle, allowKernel);
    }

    /// <summary>Absolute path.</summary>
    public string Root { get; }

    /// <summary>Pages of zeros are left out of the files of dumps that are opened from now on.</summary>
    public bool LeavesHoles { get; set; }

    /// <summary>Measures fsyncs of dumps' data, or null.</summary>
    public SyncMeter? Syncs { get; set; }

    /// <summary>Opens the dump directory and makes it, for this user only, when it is missing.</summary>
    /// <param name="root">The dump directory, relative to the working directory or absolute.</param>
    /// <param name="defaultPath">Path beneath it for dumps whose herald asks for none, netdumpd's <c>-p</c>; it must exist.</param>
    /// <exception cref="StorageException">It cannot be made, is not a directory or cannot be written to; the message says which and what to do.</exception>
    public static DumpDirectory Open(string root, string? defaultPath) => Open(root, defaultPath, allowKernel: true);

    internal static DumpDirectory Open(string root, string? defaultPath, bool allowKernel)
    {
        if (OperatingSystem.IsWindows())
            throw new StorageException("dump directories need Linux or another Unix");

        root = Path.GetFullPath(root);
        Make(root);
        var handle = Posix.Open(root, Posix.O_RDONLY | Posix.O_DIRECTORY)
            ?? throw new StorageException($"dump directory {root}: {Errno.Words(Errno.Last)}; name a directory that {Environment.UserName} can read and write");
        var directory = new DumpDirectory(root, handle, defaultPath, allowKernel);
        try
        {
            directory.CheckWritable();
            directory.CheckDefaultPath();
            return directory;
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    /// <summary>Opens the files of a new dump: in the path its herald asked for, else in the default path, else in the root.</summary>
    /// <param name="identity">Whose dump; its id is new.</param>
    /// <param name="endpoint">Where it comes from and to.</param>
    /// <param name="heraldPath">The herald's payload, or null or empty for none. An unusable one is no error: <see cref="DumpFile.RefusedPath"/> says what was wrong with it.</param>
    /// <exception cref="StorageException">The files cannot be made even in the root.</exception>
    public DumpFile Create(DumpIdentity identity, DumpEndpoint endpoint, string? heraldPath) =>
        Create(identity, endpoint, heraldPath, Headroom.Unlimited, out _)!;

    /// <summary>As <see cref="Create(DumpIdentity, DumpEndpoint, string?)"/>, where there is room.</summary>
    /// <param name="identity">Whose dump; its id is new.</param>
    /// <param name="endpoint">Where it comes from and to.</param>
    /// <param name="heraldPath">The herald's payload, or null or empty for none.</param>
    /// <param name="headroom">Asked before anything is made, as on a full file system nothing can be.</param>
    /// <param name="shortage">What is missing, or null. One that lets only the first bytes be kept holds for the dump wherever its files then find a place.</param>
    /// <returns>Null when the dump does not begin now.</returns>
    /// <exception cref="StorageException">The files cannot be made even in the root.</exception>
    public DumpFile? Create(DumpIdentity identity, DumpEndpoint endpoint, string? heraldPath, Headroom headroom, out RoomShortage? shortage)
    {
        shortage = null;
        string? refused = null;
        foreach (string? path in (ReadOnlySpan<string?>)[heraldPath, _defaultPath])
        {
            if (string.IsNullOrEmpty(path))
                continue;

            if (_contained.Open(path, out string relative, out string? refusal) is SafeFileHandle handle)
            {
                var folder = new DumpFolder(handle, Root, relative, OwnsHandle: true);
                if (!MayBegin(headroom, folder, ref shortage))
                {
                    folder.Dispose();
                    return null;
                }

                if (TryCreate(identity, endpoint, folder, refused, out refusal) is DumpFile file)
                    return file;
                folder.Dispose();
            }

            refused = $"{(refused is null ? "" : $"{refused}; ")}path '{path}': {refusal}";
        }

        var root = new DumpFolder(_handle, Root, "", OwnsHandle: false);
        if (!MayBegin(headroom, root, ref shortage))
            return null;
        return TryCreate(identity, endpoint, root, refused, out string? error)
            ?? CreateInNewRoot(identity, endpoint, refused, ref error)
            ?? throw new StorageException($"dump directory {Root}: {error}");
    }

    /// <summary>Opens a file of the server's own in the root, or makes it; null where that cannot be done.</summary>
    internal SafeFileHandle? OpenHidden(string name) => Posix.OpenAt(_handle, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_NOFOLLOW | Posix.O_NONBLOCK, Posix.FileMode);

    public void Dispose()
    {
        _running?.Dispose();
        _handle.Dispose();
    }

    /// <summary>Judges the file system of <paramref name="folder"/>; the first shortage that lets only the first bytes be kept stays.</summary>
    private static bool MayBegin(Headroom headroom, DumpFolder folder, ref RoomShortage? shortage)
    {
        var found = headroom.Judge(folder.PathOf(""));
        bool mayBegin = found is not { Verdict: HeadroomVerdict.MakeRoom or HeadroomVerdict.Refused };
        if (!mayBegin || shortage is null)
            shortage = found;
        return mayBegin;
    }

    /// <summary>The directory may have been removed since it was opened, and be back, or be a new mount: then the name leads to it and the descriptor does not.</summary>
    private DumpFile? CreateInNewRoot(DumpIdentity identity, DumpEndpoint endpoint, string? refused, ref string? error)
    {
        if (Posix.Open(Root, Posix.O_RDONLY | Posix.O_DIRECTORY) is not SafeFileHandle handle)
            return null;

        var folder = new DumpFolder(handle, Root, "", OwnsHandle: true);
        var file = TryCreate(identity, endpoint, folder, refused, out error);
        if (file is null)
            folder.Dispose();
        return file;
    }

    private DumpFile? TryCreate(DumpIdentity identity, DumpEndpoint endpoint, DumpFolder folder, string? refused, out string? error)
    {
        if (Sharing is not null)
            return TryCreateShared(identity, endpoint, folder, refused, out error);

        return TryCreate(identity, endpoint, folder, shared: null, refused, out error);
    }

    private DumpFile? TryCreate(DumpIdentity identity, DumpEndpoint endpoint, DumpFolder folder, SharedDump? shared, string? refused, out string? error)
    {
        string name = DumpFile.NameOf(identity);
        string ledgerName = name + DumpFile.LedgerSuffix;
        // The ledger first: the next start finds what a killed process began by its ledger.
        // A shared one may have been taken over already, and then its mode says so.
        if (CreateFile(folder.Handle, ledgerName, out error, setsMode: shared is null) is not SafeFileHandle ledger)
            return null;

        if (!IsOwned(ledger, folder, ledgerName))
            error = $"{ledgerName} was taken by another process";
        else if (CreateFile(folder.Handle, name, out error) is SafeFileHandle file)
        {
            var dump = new DumpFile(identity, endpoint, folder, file, ledger, refused, shared) { Syncs = Syncs };
            if (LeavesHoles)
                dump.LeaveHoles(fileBytes: 0);
            if (dump.AppendOpened(out error))
                return dump;

            RemoveOwn(file, folder, name, shared);
        }

        RemoveOwn(ledger, folder, ledgerName, shared);
        return null;
    }

    /// <summary>Removes a file that was made for a dump which does not begin; in a shared directory the name may be another node's by now.</summary>
    private static void RemoveOwn(SafeFileHandle file, DumpFolder folder, string name, SharedDump? shared)
    {
        if (shared is null || Posix.IsNameOf(Posix.InodeOf(file), folder.Handle, name))
            _ = Posix.Unlink(folder.Handle, name);
        file.Dispose();
    }

    /// <summary>Locks a ledger, and has the one that its name leads to: another process may have had the lock and replaced or removed the file since it was opened.</summary>
    /// <remarks>A file system without locks only makes a running dump look left over.</remarks>
    private static bool IsOwned(SafeFileHandle ledger, DumpFolder folder, string ledgerName) =>
        Posix.LockOwned(ledger) != Errno.EAGAIN && Posix.IsNamed(ledger, folder.Handle, ledgerName);

    private static SafeFileHandle? CreateFile(SafeFileHandle folder, string name, out string? error, bool setsMode = true)
    {
        var file = Posix.OpenAt(folder, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, Posix.FileMode);
        error = file is null ? $"{name} cannot be created: {Errno.Words(Errno.Last)}" : null;
        if (file is not null && setsMode)
            Posix.SetMode(file, Posix.FileMode);
        return file;
    }

    [UnsupportedOSPlatform("windows")]
    private static void Make(string root)
    {
        if (Directory.Exists(root))
            return;

        try
        {
            Directory.CreateDirectory(root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"dump directory {root} cannot be created: {e.Message}; create it and make it writable for {Environment.UserName}, or name another one", e);
        }

        // A machine that crashes right after the first dump must still find the directory.
        using var parent = Path.GetDirectoryName(root) is string above ? Posix.Open(above, Posix.O_RDONLY | Posix.O_DIRECTORY) : null;
        if (parent is not null)
            _ = Posix.SyncDirectory(parent);
    }

    /// <summary>Writes a file and removes it again: permissions, read-only mounts and quotas answer only to that.</summary>
    /// <exception cref="StorageException">No file can be made; the message says why.</exception>
    public void CheckWritable()
    {
        string probe = $".writable.{Guid.NewGuid():n}.tmp";
        using var file = CreateFile(_handle, probe, out _);
        if (file is null)
            throw new StorageException($"dump directory {Root} is not writable: {Errno.Words(Errno.Last)}; make it writable for {Environment.UserName}, or name another one");
        _ = Posix.Unlink(_handle, probe);
    }

    private void CheckDefaultPath()
    {
        if (_defaultPath is null)
            return;

        using var handle = _contained.Open(_defaultPath, out _, out string? refusal);
        if (handle is null)
            throw new StorageException($"default path '{_defaultPath}' in dump directory {Root}: {refusal}; create it there, or name another one");
    }
}
