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

    /// <summary>Bytes of the device that a file takes, holes left out; null where the system does not say.</summary>
    internal static long? AllocatedBytes(string path) => Posix.AllocatedBytesOf(path);

    /// <summary>Tells file systems apart; null when the directory cannot be opened.</summary>
    internal static ulong? DeviceOf(string directory)
    {
        using var handle = Posix.Open(directory, Posix.O_RDONLY | Posix.O_DIRECTORY);
        return handle is null ? null : Posix.DeviceOf(handle);
    }
}
