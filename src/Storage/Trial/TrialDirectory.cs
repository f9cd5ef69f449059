using System.Buffers;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>A directory for trials on the file system of the dump directory, <c>.doctor.ID</c>, removed with all that is in it.</summary>
/// <remarks>
/// Servers and catalogues pass it over, so that nothing in it is taken for a dump. It is locked while it is used (flock on the directory); one that is not was left by a
/// process that was killed. The id cannot be guessed, so that no herald names it as its path.
/// </remarks>
public sealed class TrialDirectory : IDisposable
{
    private const string NamePrefix = ".doctor.";
    private const int IdChars = 32;
    private const int MaxAttempts = 3;

    private static readonly SearchValues<char> s_idChars = SearchValues.Create("0123456789abcdef");

    private readonly SafeFileHandle _lock;

    private TrialDirectory(string path, SafeFileHandle held)
    {
        Path = path;
        _lock = held;
    }

    /// <summary>Absolute path.</summary>
    public string Path { get; }

    /// <summary>Makes one, for this user only.</summary>
    /// <exception cref="StorageException">It cannot be made; the message says why.</exception>
    [UnsupportedOSPlatform("windows")]
    public static TrialDirectory Make(string parent)
    {
        for (int attempt = 1; ; attempt++)
        {
            string path = System.IO.Path.Join(parent, $"{NamePrefix}{Guid.NewGuid():n}");
            try
            {
                Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new StorageException(e.Message, e);
            }

            // Whoever removes what was left over may have taken it for such before it was locked.
            if (TryLock(path, mayLackLocks: true) is { } held)
                return new(path, held);
            if (attempt == MaxAttempts)
                throw new StorageException($"{path}: {Errno.Words(Errno.Last)}");
        }
    }

    /// <summary>Removes what killed processes left in <paramref name="parent"/>.</summary>
    /// <returns>How many there were.</returns>
    /// <exception cref="StorageException">One cannot be removed; the message says which and why.</exception>
    public static int RemoveLeftOver(string parent)
    {
        try
        {
            int removed = 0;
            foreach (var directory in new DirectoryInfo(parent).EnumerateDirectories($"{NamePrefix}*"))
            {
                if (!IsTrial(directory.Name) || directory.LinkTarget is not null)
                    continue;
                using var held = TryLock(directory.FullName, mayLackLocks: false);
                if (held is null)
                    continue;
                directory.Delete(recursive: true);
                removed++;
            }

            return removed;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"what an earlier run left cannot be removed: {e.Message}", e);
        }
    }

    /// <summary>Whether a directory of this name is one: no name that people give, whose dumps would be hidden and, with the directory, deleted.</summary>
    internal static bool IsTrial(ReadOnlySpan<char> name) =>
        name.Length == NamePrefix.Length + IdChars && name.StartsWith(NamePrefix, StringComparison.Ordinal) && !name[NamePrefix.Length..].ContainsAnyExcept(s_idChars);

    /// <summary>Removes it.</summary>
    /// <exception cref="IOException">Something in it cannot be removed.</exception>
    /// <exception cref="UnauthorizedAccessException">Something in it may not be removed.</exception>
    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        finally
        {
            _lock.Dispose();
        }
    }

    private static SafeFileHandle? TryLock(string path, bool mayLackLocks)
    {
        var directory = Posix.Open(path, Posix.O_RDONLY | Posix.O_DIRECTORY | Posix.O_NOFOLLOW);
        if (directory is null)
            return null;
        int errno = Posix.Lock(directory, Posix.LockExclusive | Posix.LockNonBlocking);
        bool isHeld = errno == 0 || (mayLackLocks && errno != Errno.EAGAIN);
        if (isHeld && Directory.Exists(path))
            return directory;
        directory.Dispose();
        return null;
    }
}
