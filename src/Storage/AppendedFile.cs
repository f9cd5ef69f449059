using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A file that lines are added to, each by one write. Thread-safe; every call may block on the device.</summary>
/// <remarks>It is opened, or made, for the first line, and anew when its name leads to another file or to none: whoever rotates it need not tell.</remarks>
public sealed class AppendedFile : IDisposable
{
    private readonly Lock _gate = new();
    private readonly string _path;
    private readonly string _directory;
    private readonly string _name;
    private SafeFileHandle? _file;
    private bool _isTorn;

    /// <param name="path">Where it lies; a link is refused.</param>
    public AppendedFile(string path)
    {
        _path = Path.GetFullPath(path);
        _directory = Path.GetDirectoryName(_path) ?? "/";
        _name = Path.GetFileName(_path);
    }

    /// <summary>Adds a line.</summary>
    /// <param name="line">It ends with a line feed.</param>
    /// <param name="durable">Whether it, and the file's name, are on the device when this returns.</param>
    /// <exception cref="StorageException">The line is not there as a whole.</exception>
    public void Append(ReadOnlySpan<byte> line, bool durable)
    {
        lock (_gate)
        {
            var file = Current();
            // What the device took only a part of stays one wrong line.
            if (_isTorn)
                Check("cannot be written", Write(file, "\n"u8));
            Check("cannot be written", Write(file, line));
            if (durable)
                Check("not durable, fsync failed", Posix.SyncData(file));
        }
    }

    /// <summary>Does not wait for a line that is just being written: the system closes the file then.</summary>
    public void Dispose()
    {
        if (!_gate.TryEnter())
            return;
        try
        {
            Close();
        }
        finally
        {
            _gate.Exit();
        }
    }

    private int Write(SafeFileHandle file, ReadOnlySpan<byte> bytes)
    {
        int written = Posix.Append(file, bytes);
        if (written == bytes.Length)
        {
            _isTorn = false;
            return 0;
        }

        _isTorn |= written > 0;
        return written < 0 ? Errno.Last : Errno.EIO;
    }

    private SafeFileHandle Current()
    {
        using var directory = Posix.Open(_directory, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"directory {_directory}: {Errno.Words(Errno.Last)}");
        if (_file is not null && Posix.IsNamed(_file, directory, _name))
            return _file;

        Close();
        // A FIFO of that name must not be waited for.
        int flags = Posix.O_WRONLY | Posix.O_APPEND | Posix.O_NOFOLLOW | Posix.O_NONBLOCK;
        _file = Posix.OpenAt(directory, _name, flags);
        if (_file is null && Errno.Last == Errno.ENOENT)
        {
            _file = Posix.OpenAt(directory, _name, flags | Posix.O_CREAT | Posix.O_EXCL, Posix.AuditMode);
            if (_file is not null)
            {
                Posix.SetMode(_file, Posix.AuditMode);
                // Another attempt finds the file, so it has to begin with the name.
                if (Posix.SyncDirectory(directory) is not 0 and var errno)
                {
                    _ = Posix.Unlink(directory, _name);
                    Close();
                    Check("not durable, fsync of its directory failed", errno);
                }
            }
        }

        return _file ?? throw new StorageException($"{_path}: cannot be opened: {Errno.Words(Errno.Last)}");
    }

    private void Close()
    {
        _file?.Dispose();
        (_file, _isTorn) = (null, false);
    }

    private void Check(string what, int errno)
    {
        if (errno != 0)
            throw new StorageException($"{_path}: {what}: {Errno.Words(errno)}");
    }
}
