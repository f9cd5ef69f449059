using System.Diagnostics;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>What a file system does of that which dumps need, found out by doing it.</summary>
/// <param name="SmallSync">Median time until a small new file is on the device; each dump's end waits for several.</param>
/// <param name="LargeSync">Median time until <see cref="LargeBytes"/> just written are on the device.</param>
/// <param name="Locks">A lock keeps another open file out: two servers then never take the same dump.</param>
/// <param name="Renames">Null, or why a file cannot be renamed without replacing another.</param>
/// <param name="KernelKeepsPaths">The kernel resolves paths of heralds inside the dump directory (openat2(2)).</param>
public sealed record FileSystemTrial(TimeSpan SmallSync, TimeSpan LargeSync, bool Locks, string? Renames, bool KernelKeepsPaths)
{
    public const int LargeBytes = 16 << 20;

    private const int SmallBytes = 4096;
    private const int SmallRounds = 7;
    private const int LargeRounds = 3;

    /// <summary>Tries it in <paramref name="directory"/>, which is empty and is left so.</summary>
    /// <exception cref="StorageException">Something that every dump needs failed; the message says what.</exception>
    [UnsupportedOSPlatform("windows")]
    public static FileSystemTrial Run(TrialDirectory directory, CancellationToken stop)
    {
        using var handle = Posix.Open(directory.Path, Posix.O_RDONLY | Posix.O_DIRECTORY) ?? throw new StorageException($"{directory.Path}: {Errno.Words(Errno.Last)}");
        byte[] content = new byte[LargeBytes];
        // Zeros might be left out, or compressed away.
        Random.Shared.NextBytes(content);
        return new(
            MedianSync(handle, content.AsSpan(0, SmallBytes), SmallRounds, stop),
            MedianSync(handle, content, LargeRounds, stop),
            HasLocks(handle), RenameProblem(handle), HasContainedPaths(handle));
    }

    private static TimeSpan MedianSync(SafeFileHandle directory, ReadOnlySpan<byte> content, int rounds, CancellationToken stop)
    {
        var times = new TimeSpan[rounds];
        for (int round = 0; round < rounds; round++)
        {
            stop.ThrowIfCancellationRequested();
            const string Name = "sync";
            using var file = Make(directory, Name);
            try
            {
                for (int done = 0; done < content.Length;)
                {
                    int written = Posix.WriteAt(file, content[done..], done);
                    done += written > 0 ? written : throw new StorageException($"a file of {ByteSize.Format(content.Length)} cannot be written: {Errno.Words(written < 0 ? Errno.Last : Errno.EIO)}");
                }

                long started = Stopwatch.GetTimestamp();
                int errno = Posix.Sync(file);
                if (errno == 0)
                    errno = Posix.SyncDirectory(directory);
                times[round] = Stopwatch.GetElapsedTime(started);
                if (errno != 0)
                    throw new StorageException($"a file cannot be made durable (fsync): {Errno.Words(errno)}");
            }
            finally
            {
                _ = Posix.Unlink(directory, Name);
            }
        }

        Array.Sort(times);
        return times[rounds / 2];
    }

    private static bool HasLocks(SafeFileHandle directory)
    {
        const string Name = "lock";
        using var first = Make(directory, Name);
        using var second = Posix.OpenAt(directory, Name, Posix.O_RDWR);
        _ = Posix.Unlink(directory, Name);
        return second is not null
            && Posix.LockOwned(first) == 0 && Posix.IsLocked(second)
            && Posix.Lock(first, Posix.LockExclusive | Posix.LockNonBlocking) == 0 && Posix.Lock(second, Posix.LockExclusive | Posix.LockNonBlocking) == Errno.EAGAIN;
    }

    private static string? RenameProblem(SafeFileHandle directory)
    {
        const string From = "from", To = "to", Taken = "taken";
        using (Make(directory, From))
        using (Make(directory, Taken))
        {
        }

        int ontoTaken = Posix.RenameWithoutReplacing(directory, From, Taken);
        int errno = ontoTaken == Errno.EEXIST ? Posix.RenameWithoutReplacing(directory, From, To) : ontoTaken;
        foreach (string name in (ReadOnlySpan<string>)[From, To, Taken])
            _ = Posix.Unlink(directory, name);
        return errno != 0 ? Errno.Words(errno) : ontoTaken == 0 ? "the file that had the name was replaced" : null;
    }

    private static bool HasContainedPaths(SafeFileHandle directory)
    {
        using var beneath = Posix.OpenDirectoryBeneath(directory, ".");
        return beneath is not null;
    }

    private static SafeFileHandle Make(SafeFileHandle directory, string name) =>
        Posix.OpenAt(directory, name, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, Posix.FileMode)
        ?? throw new StorageException($"a file cannot be made: {Errno.Words(Errno.Last)}");
}
