using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage.Native;

/// <summary>The system calls that files need and the class library does not offer: everything relative to a directory descriptor, and vectored writes of native memory.</summary>
/// <remarks>64-bit systems only: <c>off_t</c> and <c>size_t</c> are passed as 64-bit numbers.</remarks>
internal static unsafe partial class Posix
{
    public const int IovMax = 1024;

    public const uint FileMode = 0x180; // 0600
    public const uint KeyMode = 0x100; // 0400
    public const uint AuditMode = 0x1a0; // 0640

    public const int LockShared = 1;
    public const int LockExclusive = 2;
    public const int LockNonBlocking = 4;

    public const int AdviseSequential = 2;
    public const int AdviseDontNeed = 4;
    public const int AdviseNoReuse = 5;
    public const uint SyncFileRangeWrite = 2;

    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;

    private static readonly bool s_armFlags = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Ppc64le;

    public static readonly int O_CREAT = OperatingSystem.IsLinux() ? 0x40 : 0x200;
    public static readonly int O_APPEND = OperatingSystem.IsLinux() ? 0x400 : 0x8;
    public static readonly int O_EXCL = OperatingSystem.IsLinux() ? 0x80 : 0x800;
    public static readonly int O_NONBLOCK = OperatingSystem.IsLinux() ? 0x800 : 0x4;
    public static readonly int O_NOFOLLOW = OperatingSystem.IsLinux() ? s_armFlags ? 0x8000 : 0x20000 : 0x100;
    public static readonly int O_DIRECTORY = OperatingSystem.IsLinux() ? s_armFlags ? 0x4000 : 0x10000 : OperatingSystem.IsMacOS() ? 0x100000 : 0x20000;
    public static readonly int O_CLOEXEC = OperatingSystem.IsLinux() ? 0x80000 : OperatingSystem.IsMacOS() ? 0x1000000 : 0x100000;

    private const int GetOpenFileLock = 36; // F_OFD_GETLK
    private const int SetOpenFileLock = 37; // F_OFD_SETLK
    private const short WriteLock = 1; // F_WRLCK
    private const short Unlocked = 2; // F_UNLCK

    private const long OpenAt2 = 437;
    private const ulong ResolveNoMagicLinks = 0x02;
    private const ulong ResolveBeneath = 0x08;
    private const uint RenameNoReplace = 1;
    private const int AtEmptyPath = 0x1000;

    // struct statx: 256 bytes, stx_ino at byte 32, stx_dev_major at byte 136.
    private const int StatxWords = 64;
    private const int StatxInode = 8;
    private const int StatxDeviceMajor = 34;
    private const uint StatxInodeMask = 0x100;

    [StructLayout(LayoutKind.Sequential)]
    public struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct OpenHow
    {
        public ulong Flags;
        public ulong Mode;
        public ulong Resolve;
    }

    /// <summary>Opens a path by the process's own rules; null with <see cref="Errno.Last"/> set when it cannot be.</summary>
    public static SafeFileHandle? Open(string path, int flags)
    {
        int fd;
        do
            fd = open(path, flags | O_CLOEXEC, 0);
        while (fd < 0 && Errno.Last == Errno.EINTR);
        return fd < 0 ? null : new(fd, ownsHandle: true);
    }

    /// <summary>Opens <paramref name="name"/> in <paramref name="directory"/>; null with <see cref="Errno.Last"/> set when it cannot be.</summary>
    public static SafeFileHandle? OpenAt(SafeFileHandle directory, string name, int flags, uint mode = 0)
    {
        int fd;
        do
            fd = openat(directory, name, flags | O_CLOEXEC, mode);
        while (fd < 0 && Errno.Last == Errno.EINTR);
        return fd < 0 ? null : new(fd, ownsHandle: true);
    }

    /// <summary>Opens a directory that lies beneath <paramref name="directory"/> whatever links and <c>..</c> the path has; null with <see cref="Errno.Last"/> set otherwise.</summary>
    /// <remarks>Absolute links are refused as well, also where they lead back inside. Source: openat2(2).</remarks>
    public static SafeFileHandle? OpenDirectoryBeneath(SafeFileHandle directory, string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            Marshal.SetLastPInvokeError(Errno.ENOSYS);
            return null;
        }

        var how = new OpenHow { Flags = (ulong)(O_RDONLY | O_DIRECTORY | O_CLOEXEC), Resolve = ResolveBeneath | ResolveNoMagicLinks };
        long fd;
        // EAGAIN: something was renamed while the kernel looked at a "..".
        int attempts = 0;
        do
            fd = openat2(OpenAt2, directory, path, &how, (nuint)sizeof(OpenHow));
        while (fd < 0 && (Errno.Last == Errno.EINTR || (Errno.Last == Errno.EAGAIN && ++attempts < 16)));
        return fd < 0 ? null : new((nint)fd, ownsHandle: true);
    }

    /// <summary>Renames inside one directory, never onto an existing name (<see cref="Errno.EEXIST"/>); 0 or the error.</summary>
    public static int RenameWithoutReplacing(SafeFileHandle directory, string from, string to)
    {
        long number = !OperatingSystem.IsLinux() ? -1 : RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => 316,
            Architecture.Arm64 or Architecture.LoongArch64 or Architecture.RiscV64 => 276,
            _ => -1,
        };
        if (number >= 0)
        {
            if (renameat2(number, directory, from, directory, to, RenameNoReplace) == 0)
                return 0;
            // EINVAL: the file system (NFS, some FUSE) does not know the flag.
            if (Errno.Last != Errno.ENOSYS && Errno.Last != Errno.EINVAL)
                return Errno.Last;
        }

        return LinkAndUnlink(directory, from, to);
    }

    /// <summary>What <see cref="RenameWithoutReplacing"/> does where renameat2 is missing: a hard link never replaces a name either.</summary>
    internal static int LinkAndUnlink(SafeFileHandle directory, string from, string to)
    {
        if (linkat(directory, from, directory, to, 0) != 0)
            return Errno.Last;
        return unlinkat(directory, from, 0) == 0 ? 0 : Errno.Last;
    }

    /// <summary>Renames inside one directory, replacing what has the name; 0 or the error.</summary>
    public static int Rename(SafeFileHandle directory, string from, string to) =>
        renameat(directory, from, directory, to) == 0 ? 0 : Errno.Last;

    /// <summary>Removes a name; 0 or the error.</summary>
    public static int Unlink(SafeFileHandle directory, string name) => unlinkat(directory, name, 0) == 0 ? 0 : Errno.Last;

    /// <summary>Makes the symbolic link <paramref name="name"/>; 0 or the error.</summary>
    public static int Symlink(string target, SafeFileHandle directory, string name) => symlinkat(target, directory, name) == 0 ? 0 : Errno.Last;

    /// <summary>What <paramref name="name"/> is, without following it and without needing access to it.</summary>
    public static NameKind KindOf(SafeFileHandle directory, string name)
    {
        byte ignored;
        if (readlinkat(directory, name, &ignored, 1) >= 0)
            return NameKind.Link;
        return Errno.Last == Errno.ENOENT ? NameKind.Missing : NameKind.Other;
    }

    /// <summary>Waits until the file, or the names of the directory, are on the device; 0 or the error.</summary>
    public static int Sync(SafeFileHandle file)
    {
        while (fsync(file) != 0)
            if (Errno.Last != Errno.EINTR)
                return Errno.Last;
        return 0;
    }

    /// <summary>As <see cref="Sync"/>, without what only tells when the file was changed.</summary>
    public static int SyncData(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux())
            return Sync(file);
        while (fdatasync(file) != 0)
            if (Errno.Last != Errno.EINTR)
                return Errno.Last;
        return 0;
    }

    /// <summary><see cref="Sync"/> for directories, which some file systems cannot and need not do.</summary>
    public static int SyncDirectory(SafeFileHandle directory) => Sync(directory) is var errno && errno == Errno.EINVAL ? 0 : errno;

    public static int Truncate(SafeFileHandle file, long length)
    {
        while (ftruncate(file, length) != 0)
            if (Errno.Last != Errno.EINTR)
                return Errno.Last;
        return 0;
    }

    /// <summary>Gives back the mode bits that the umask took away. A file system without modes refuses, which is no reason to lose the file.</summary>
    public static void SetMode(SafeFileHandle file, uint mode) => _ = fchmod(file, mode);

    /// <summary>Takes an advisory lock that ends with the descriptor; 0 or the error.</summary>
    public static int Lock(SafeFileHandle file, int operation) => flock(file, operation) == 0 ? 0 : Errno.Last;

    /// <summary>Takes a lock of the open file on the whole of it, to be asked about with <see cref="IsLocked"/>; it ends with the last descriptor. 0 or the error.</summary>
    /// <remarks>An open file description lock (fcntl(2), F_OFD_SETLK), because a flock can only be looked for by taking it, and who looks then keeps the owner out.</remarks>
    public static int LockOwned(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux())
            return Lock(file, LockExclusive | LockNonBlocking);
        var wanted = new FileLock { Type = WriteLock };
        return fcntl(file, SetOpenFileLock, ref wanted) == 0 ? 0 : Errno.Last;
    }

    /// <summary>Another open file has the lock of <see cref="LockOwned"/>.</summary>
    public static bool IsLocked(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux())
            return Lock(file, LockShared | LockNonBlocking) == Errno.EAGAIN;
        var found = new FileLock { Type = WriteLock };
        return fcntl(file, GetOpenFileLock, ref found) == 0 && found.Type != Unlocked;
    }

    /// <summary>Asks the system to start writing dirty pages of a range; a hint, nothing is known afterwards.</summary>
    public static void StartWriteback(SafeFileHandle file, long offset, long length)
    {
        if (OperatingSystem.IsLinux())
            _ = sync_file_range(file, offset, length, SyncFileRangeWrite);
    }

    /// <summary>Tells the page cache how a range is used; a hint.</summary>
    public static void Advise(SafeFileHandle file, long offset, long length, int advice)
    {
        if (OperatingSystem.IsLinux())
            _ = posix_fadvise(file, offset, length, advice);
    }

    /// <summary>Reads up to <paramref name="buffer"/>'s length; -1 with <see cref="Errno.Last"/> set when it cannot.</summary>
    public static int ReadAt(SafeFileHandle file, Span<byte> buffer, long offset)
    {
        fixed (byte* at = buffer)
        {
            nint read;
            do
                read = Read(file, at, (nuint)buffer.Length, offset);
            while (read < 0 && Errno.Last == Errno.EINTR);
            return (int)read;
        }
    }

    /// <summary>Writes <paramref name="bytes"/>, perhaps not all of them; -1 with <see cref="Errno.Last"/> set when it cannot.</summary>
    public static int WriteAt(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset)
    {
        fixed (byte* at = bytes)
        {
            var vector = new IoVector { Base = at, Length = (nuint)bytes.Length };
            nint written;
            do
                written = WriteVectored(file, &vector, 1, offset);
            while (written < 0 && Errno.Last == Errno.EINTR);
            return (int)written;
        }
    }

    /// <summary>Writes <paramref name="bytes"/>, perhaps not all of them, where a file that was opened to be appended to ends; -1 with <see cref="Errno.Last"/> set when it cannot.</summary>
    public static int Append(SafeFileHandle file, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* at = bytes)
        {
            nint written;
            do
                written = write(file, at, (nuint)bytes.Length);
            while (written < 0 && Errno.Last == Errno.EINTR);
            return (int)written;
        }
    }

    /// <summary>The device that an open file lies on, 0 where the system does not say.</summary>
    /// <remarks>By system call, because older C libraries have no symbol for statx(2) or fstat(2).</remarks>
    public static ulong DeviceOf(SafeFileHandle file)
    {
        long number = StatxNumber;
        uint* status = stackalloc uint[StatxWords];
        return number >= 0 && statx(number, file, "", AtEmptyPath, mask: 0, status) == 0
            ? ((ulong)status[StatxDeviceMajor] << 32) + status[StatxDeviceMajor + 1]
            : 0;
    }

    /// <summary>The name leads to this open file; also where the system does not say.</summary>
    public static bool IsNamed(SafeFileHandle file, SafeFileHandle directory, string name)
    {
        long number = StatxNumber;
        uint* open = stackalloc uint[StatxWords], named = stackalloc uint[StatxWords];
        if (number < 0 || statx(number, file, "", AtEmptyPath, StatxInodeMask, open) != 0)
            return true;
        if (statx(number, directory, name, AtSymlinkNoFollow, StatxInodeMask, named) != 0)
            return Errno.Last != Errno.ENOENT;
        return new ReadOnlySpan<uint>(open + StatxInode, 2).SequenceEqual(new(named + StatxInode, 2));
    }

    [LibraryImport("libc", EntryPoint = "pwritev", SetLastError = true)]
    public static partial nint WriteVectored(SafeFileHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(SafeFileHandle file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    public static partial nint Read(SafeFileHandle file, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int openat(SafeFileHandle directory, string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial long openat2(long number, SafeFileHandle directory, string path, OpenHow* how, nuint size);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial long statx(long number, SafeFileHandle file, string path, int flags, uint mask, uint* status);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial long renameat2(long number, SafeFileHandle fromDirectory, string from, SafeFileHandle toDirectory, string to, uint flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int renameat(SafeFileHandle fromDirectory, string from, SafeFileHandle toDirectory, string to);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int linkat(SafeFileHandle fromDirectory, string from, SafeFileHandle toDirectory, string to, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlinkat(SafeFileHandle directory, string path, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int symlinkat(string target, SafeFileHandle directory, string path);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint readlinkat(SafeFileHandle directory, string path, byte* buffer, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(SafeFileHandle file, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmod(SafeFileHandle file, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle file, int operation);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(SafeFileHandle file, int command, ref FileLock argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sync_file_range(SafeFileHandle file, long offset, long length, uint flags);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(SafeFileHandle file, long offset, long length, int advice);
}

/// <summary>struct flock of 64-bit Linux; start and length 0 mean the whole file.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FileLock
{
    public short Type;
    public short Whence;
    public long Start;
    public long Length;
    public int ProcessId;
}

/// <summary>What stands at a name.</summary>
internal enum NameKind
{
    Missing,
    Link,
    Other,
}
