using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage;

/// <summary>How much room a file system has.</summary>
/// <param name="FreeBytes">Bytes that this user can still write.</param>
/// <param name="TotalBytes">Its size; 0 where it does not say, as some network and FUSE file systems do.</param>
public readonly record struct FileSystemSpace(long FreeBytes, long TotalBytes)
{
    /// <summary>The file system that <paramref name="directory"/> lies on; null where it does not say.</summary>
    public static FileSystemSpace? Of(string directory)
    {
        try
        {
            var drive = new DriveInfo(directory);
            return drive.TotalSize > 0 ? new(drive.AvailableFreeSpace, drive.TotalSize) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>Files that can still be made on the file system of <paramref name="directory"/>, and all it can have; null where it does not say or has no such limit.</summary>
    public static (long Free, long Total)? InodesOf(string directory) => Posix.InodesOf(directory);

    /// <summary>Bytes of the device that a file takes, holes left out; null where the system does not say.</summary>
    internal static long? AllocatedBytes(string path) => Posix.AllocatedBytesOf(path);

    /// <summary>Tells file systems apart; null when the directory cannot be opened.</summary>
    internal static ulong? DeviceOf(string directory)
    {
        using var handle = Posix.Open(directory, Posix.O_RDONLY | Posix.O_DIRECTORY);
        return handle is null ? null : Posix.DeviceOf(handle);
    }
}
