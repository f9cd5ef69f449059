using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>What the catalogue has yet to be told of ended dumps: in memory, and in a file of the dump directory that outlives the process. Not thread-safe; calls may block on the device.</summary>
/// <remarks>
/// Ordinary writes: they outlive the process. What a crash of the machine takes, or no room, or a full outbox, is found again by comparing the directory with the catalogue at the next connection; only what became of
/// dumps that were deleted meanwhile is then known by their absence alone. The file also keeps the instance's number, so that a node that is started again is not taken for another one of its name.
/// </remarks>
public sealed class Outbox : IDisposable
{
    /// <summary>Dumps that wait at most; a manifest takes about 2 KB.</summary>
    public const int DefaultCapacity = 50_000;

    /// <summary>The file is written anew when it has so many bytes more than what still waits.</summary>
    private const long SlackBytes = 4 << 20;

    private const long MaxFileBytes = 256 << 20;

    private readonly string _name;
    private readonly int _capacity;
    private readonly SafeFileHandle? _directory;
    private readonly Dictionary<string, (long Number, OutboxEntry Entry, int Bytes)> _waiting = [];
    private readonly SortedDictionary<long, string> _order = [];
    private SafeFileHandle? _file;
    private long _fileBytes;
    private long _waitingBytes;
    private long _number;

    private Outbox(SafeFileHandle? directory, string name, int capacity, Guid instance) => (_directory, _name, _capacity, Instance) = (directory, name, capacity, instance);

    /// <summary>Tells this node, with this dump directory, from any other that has its name.</summary>
    public Guid Instance { get; }

    public int Count => _waiting.Count;

    /// <summary>Entries that found no room, since the start.</summary>
    public long Refused { get; private set; }

    /// <summary>Why what waits is in memory only, or null.</summary>
    public string? Problem { get; private set; }

    /// <summary>What was wrong with the file that an earlier process left, or null.</summary>
    public string? Damage { get; private init; }

    /// <summary>The file of a node's outbox, in the dump directory.</summary>
    public static string NameOf(string node) => $".catalogue.{node}";

    /// <summary>Opens a node's outbox and reads what an earlier process left in it. What cannot be read, written or made is told of (<see cref="Problem"/>, <see cref="Damage"/>), and stops nothing.</summary>
    public static Outbox Open(string root, string node, int capacity = DefaultCapacity)
    {
        string name = NameOf(node);
        var directory = Posix.Open(root, Posix.O_RDONLY | Posix.O_DIRECTORY);
        if (directory is null)
            return new(null, name, capacity, Guid.NewGuid()) { Problem = $"dump directory {root}: {Errno.Words(Errno.Last)}" };
        var file = Posix.OpenAt(directory, name, Posix.O_RDWR | Posix.O_NOFOLLOW | Posix.O_NONBLOCK);
        if (file is null && Errno.Last == Errno.ENOENT)
        {
            var fresh = new Outbox(directory, name, capacity, Guid.NewGuid());
            fresh.Rewrite();
            return fresh;
        }

        if (file is null || !Posix.IsRegular(file) || Posix.Lock(file, Posix.LockExclusive | Posix.LockNonBlocking) != 0)
        {
            string refusal = file is null ? Errno.Words(Errno.Last) : !Posix.IsRegular(file) ? "is not a regular file" : "another process has it; no two nodes with one dump directory may have the same --node";
            file?.Dispose();
            directory.Dispose();
            return new(null, name, capacity, Guid.NewGuid()) { Problem = $"{name}: {refusal}" };
        }

        byte[] bytes = ReadAll(file);
        var entries = OutboxFormat.Read(bytes, out int used);
        var instance = OutboxFormat.InstanceOf(bytes);
        string? damage = instance is null ? $"{name}: is not an outbox of this version" : used < bytes.Length ? $"{name}: {bytes.Length - used} bytes after {entries.Count} records are torn or corrupt" : null;
        var outbox = new Outbox(directory, name, capacity, instance ?? Guid.NewGuid()) { Damage = damage, _file = file, _fileBytes = bytes.Length };
        if (instance is not null)
        {
            foreach (var entry in entries)
                outbox.Keep(entry, 0);
        }

        if (damage is not null)
            outbox.Rewrite();
        return outbox;
    }

    /// <summary>Notes what the catalogue has to be told; what waited for the same dump is out of date with it.</summary>
    /// <returns>False where there is no room for another dump.</returns>
    public bool Add(OutboxEntry entry)
    {
        if (OutboxFormat.Record(entry) is not { } record || (!_waiting.ContainsKey(entry.DumpId) && _waiting.Count >= _capacity))
        {
            Refused++;
            return false;
        }

        Keep(entry, record.Length);
        if (_file is null || _fileBytes + record.Length > _waitingBytes + SlackBytes)
            Rewrite();
        else
            Append(record);
        return true;
    }

    /// <summary>The entries that have waited longest.</summary>
    public IReadOnlyList<(long Number, OutboxEntry Entry)> Oldest(int count) => [.. _order.Take(count).Select(waiting => (waiting.Key, _waiting[waiting.Value].Entry))];

    /// <summary>The catalogue has them, or will never take them. One that was noted anew meanwhile still waits.</summary>
    public void Remove(IEnumerable<long> numbers)
    {
        foreach (long number in numbers)
        {
            if (!_order.Remove(number, out string? id))
                continue;
            _ = _waiting.Remove(id, out var gone);
            _waitingBytes -= gone.Bytes;
        }

        if (_waiting.Count == 0 && _fileBytes > OutboxFormat.HeaderBytes && _file is not null && Posix.Truncate(_file, OutboxFormat.HeaderBytes) == 0)
            _fileBytes = OutboxFormat.HeaderBytes;
    }

    public void Dispose()
    {
        _file?.Dispose();
        _directory?.Dispose();
    }

    private void Keep(OutboxEntry entry, int bytes)
    {
        if (_waiting.Remove(entry.DumpId, out var before))
        {
            _ = _order.Remove(before.Number);
            _waitingBytes -= before.Bytes;
        }

        bytes = bytes > 0 ? bytes : OutboxFormat.Record(entry)?.Length ?? 0;
        _waiting.Add(entry.DumpId, (++_number, entry, bytes));
        _order.Add(_number, entry.DumpId);
        _waitingBytes += bytes;
    }

    private void Append(byte[] record)
    {
        int written = Posix.WriteAt(_file!, record, _fileBytes);
        if (written == record.Length)
        {
            _fileBytes += record.Length;
            return;
        }

        // What is torn is overwritten by the next one, or not read.
        Fail(written < 0 ? Errno.Last : Errno.EIO);
    }

    /// <summary>Writes what waits into a new file, in the old one's place.</summary>
    private void Rewrite()
    {
        if (_directory is null)
            return;
        string draft = _name + ".new";
        _ = Posix.Unlink(_directory, draft);
        var file = Posix.OpenAt(_directory, draft, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, Posix.FileMode);
        if (file is null)
        {
            Fail(Errno.Last);
            return;
        }

        long at = 0;
        int errno = Posix.Lock(file, Posix.LockExclusive | Posix.LockNonBlocking) == Errno.EAGAIN ? Errno.EAGAIN : 0;
        foreach (byte[] record in _order.Values.Select(id => OutboxFormat.Record(_waiting[id].Entry)!).Prepend(OutboxFormat.Header(Instance)))
        {
            if (errno != 0)
                break;
            int written = Posix.WriteAt(file, record, at);
            errno = written == record.Length ? 0 : written < 0 ? Errno.Last : Errno.EIO;
            at += record.Length;
        }

        if (errno == 0)
            errno = Posix.Rename(_directory, draft, _name);
        if (errno != 0)
        {
            Fail(errno);
            file.Dispose();
            return;
        }

        _file?.Dispose();
        (_file, _fileBytes, Problem) = (file, at, null);
    }

    private void Fail(int errno) => Problem = $"{_name}: cannot be written: {Errno.Words(errno)}";

    private static byte[] ReadAll(SafeFileHandle file)
    {
        byte[] bytes = new byte[Math.Min(RandomAccess.GetLength(file), MaxFileBytes)];
        int length = 0;
        while (length < bytes.Length && Posix.ReadAt(file, bytes.AsSpan(length), length) is > 0 and var read)
            length += read;
        return bytes[..length];
    }
}
