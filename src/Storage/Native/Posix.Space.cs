using System.Runtime.InteropServices;

namespace NetdumpCollector.Storage.Native;

/// <summary>How many files a file system has room for.</summary>
internal static unsafe partial class Posix
{
    // struct statvfs of 64-bit Linux: numbers of 8 bytes, f_files the sixth, f_favail the eighth.
    private const int StatvfsWords = 32;
    private const int StatvfsFiles = 5;
    private const int StatvfsFilesAvailable = 7;

    /// <summary>Files that may still be made, and all there may be; null where the system does not say, or has no such limit.</summary>
    public static (long Free, long Total)? InodesOf(string path)
    {
        ulong* status = stackalloc ulong[StatvfsWords];
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess || statvfs(path, status) != 0 || status[StatvfsFiles] == 0)
            return null;
        return ((long)status[StatvfsFilesAvailable], (long)status[StatvfsFiles]);
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statvfs(string path, ulong* status);
}
