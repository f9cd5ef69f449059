using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage.Native;

/// <summary>What nodes that share a directory ask of a file system.</summary>
internal static unsafe partial class Posix
{
    // struct statx: stx_nlink at byte 16, stx_mode at 28, stx_size at 40, stx_mtime at 112 (seconds, then u32 nanoseconds).
    private const int StatxLinks = 4;
    private const int StatxSize = 10;
    private const int StatxModified = 28;
    private const uint StatxModeMask = 0x02;
    private const uint StatxLinksMask = 0x04;
    private const uint StatxModifiedMask = 0x40;
    private const uint StatxSizeMask = 0x200;
    private const int AtStatxForceSync = 0x2000;
    private const uint OwnerMayWrite = 0x80;
    private const uint DirectoryMode = 0x1c0; // 0700

    /// <summary>The open file has a name, and its owner may write to it. Asks the server of a network file system, whatever this machine has cached; false also where it cannot be told.</summary>
    /// <remarks>AT_STATX_FORCE_SYNC makes NFS and Ceph ask. Source: statx(2).</remarks>
    public static bool IsNamedAndWritable(SafeFileHandle file) => IsNamed(file, out ushort mode) && (mode & OwnerMayWrite) != 0;

    /// <summary>The open file has a name. Asks as <see cref="IsNamedAndWritable"/> does.</summary>
    public static bool IsNamed(SafeFileHandle file) => IsNamed(file, out _);

    private static bool IsNamed(SafeFileHandle file, out ushort mode)
    {
        uint* status = stackalloc uint[StatxWords];
        bool isTold = statx(StatxNumber, file, "", AtEmptyPath | AtStatxForceSync, StatxLinksMask | StatxModeMask, status) == 0;
        mode = isTold ? (ushort)status[StatxMode] : default;
        return isTold && status[StatxLinks] > 0;
    }

    /// <summary>Takes the owner's right to write from a file; who has it open goes on writing.</summary>
    /// <returns>0 or the error.</returns>
    public static int MakeReadOnly(SafeFileHandle file) => fchmod(file, KeyMode) == 0 ? 0 : Errno.Last;

    /// <summary>Nothing has the name. Unlike <see cref="KindOf"/> asks the server of a network file system as far as the mount lets it.</summary>
    public static bool IsMissing(SafeFileHandle directory, string name)
    {
        uint* status = stackalloc uint[StatxWords];
        return statx(StatxNumber, directory, name, AtSymlinkNoFollow | AtStatxForceSync, StatxModeMask, status) != 0 && Errno.Last == Errno.ENOENT;
    }

    /// <summary>Length and time of the last change of what has the name, by the file system's clock; null with <see cref="Errno.Last"/> set where it cannot be told.</summary>
    public static FileTimes? TimesOf(SafeFileHandle directory, string name)
    {
        uint* status = stackalloc uint[StatxWords];
        if (statx(StatxNumber, directory, name, AtSymlinkNoFollow | AtStatxForceSync, StatxSizeMask | StatxModifiedMask, status) != 0)
            return null;
        long seconds = *(long*)(status + StatxModified);
        // No clock is so wrong, but a disk may be.
        return new(*(long*)(status + StatxSize), DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(seconds, 0, 1L << 37)).AddTicks(status[StatxModified + 2] / 100));
    }

    /// <summary>Makes a directory for this user only; 0, also where it is there already, or the error.</summary>
    public static int MakeDirectory(SafeFileHandle parent, string name) =>
        mkdirat(parent, name, DirectoryMode) == 0 || Errno.Last == Errno.EEXIST ? 0 : Errno.Last;

    /// <summary>What the symbolic link leads to; null with <see cref="Errno.Last"/> set where it is none.</summary>
    public static string? TargetOf(SafeFileHandle directory, string name)
    {
        Span<byte> target = stackalloc byte[4096];
        fixed (byte* at = target)
        {
            nint length = readlinkat(directory, name, at, (nuint)target.Length);
            return length < 0 ? null : System.Text.Encoding.UTF8.GetString(target[..(int)length]);
        }
    }

    /// <summary>Gives a file one more name in the same directory, never one that exists (<see cref="Errno.EEXIST"/>); 0 or the error.</summary>
    public static int Link(SafeFileHandle directory, string from, string to) => linkat(directory, from, directory, to, 0) == 0 ? 0 : Errno.Last;

    /// <summary>The number of what has the name, which a link's target has no part in; 0 where nothing has it or the system does not say.</summary>
    public static ulong InodeOf(SafeFileHandle directory, string name)
    {
        uint* status = stackalloc uint[StatxWords];
        return statx(StatxNumber, directory, name, AtSymlinkNoFollow | AtStatxForceSync, StatxInodeMask, status) == 0 ? *(ulong*)(status + StatxInode) : 0;
    }

    /// <summary>The number of an open file, by which its names are known; 0 where the system does not say.</summary>
    public static ulong InodeOf(SafeFileHandle file)
    {
        uint* status = stackalloc uint[StatxWords];
        return statx(StatxNumber, file, "", AtEmptyPath, StatxInodeMask, status) == 0 ? *(ulong*)(status + StatxInode) : 0;
    }

    /// <summary>The file of this name, as the file system's server knows it, has that number; 0 is no file's.</summary>
    public static bool IsNameOf(ulong inode, SafeFileHandle directory, string name)
    {
        uint* named = stackalloc uint[StatxWords];
        return inode != 0 && statx(StatxNumber, directory, name, AtSymlinkNoFollow | AtStatxForceSync, StatxInodeMask, named) == 0 && *(ulong*)(named + StatxInode) == inode;
    }

    /// <summary>The names in a directory that begin with <paramref name="prefix"/>, in no order; null with <see cref="Errno.Last"/> set when it cannot be read.</summary>
    /// <remarks>
    /// The class library asks the file system what each name is, which is a way to the server and back for each where that does not tell it with the names.
    /// Source: getdents64(2).
    /// </remarks>
    public static List<string>? NamesIn(SafeFileHandle directory, string prefix)
    {
        long number = !OperatingSystem.IsLinux() ? -1 : RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => 217,
            Architecture.Arm64 or Architecture.LoongArch64 or Architecture.RiscV64 => 61,
            _ => -1,
        };
        if (number < 0)
        {
            Marshal.SetLastPInvokeError(Errno.ENOSYS);
            return null;
        }

        // Where reading is belongs to the descriptor, which others use as well.
        using var reading = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
        if (reading is null)
            return null;
        var names = new List<string>();
        byte[] wanted = System.Text.Encoding.UTF8.GetBytes(prefix);
        const int bytes = 32 * 1024;
        byte* buffer = stackalloc byte[bytes];
        for (; ; )
        {
            long length = getdents64(number, reading, buffer, bytes);
            if (length == 0)
                return names;
            if (length < 0 && Errno.Last == Errno.EINTR)
                continue;
            if (length < 0)
                return null;
            // struct linux_dirent64: d_reclen at byte 16, d_name, which ends with a zero, at 19.
            for (byte* entry = buffer; entry < buffer + length; entry += *(ushort*)(entry + 16))
            {
                var name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(entry + 19);
                if (name.StartsWith(wanted) && !name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                    names.Add(System.Text.Encoding.UTF8.GetString(name));
            }
        }
    }

    /// <summary>Copies a range to the same place of another file, perhaps not all of it; less than 0 with <see cref="Errno.Last"/> set when it cannot.</summary>
    /// <remarks>Source: copy_file_range(2).</remarks>
    public static long CopyRange(SafeFileHandle from, SafeFileHandle to, long offset, long length)
    {
        long number = !OperatingSystem.IsLinux() ? -1 : RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => 326,
            Architecture.Arm64 or Architecture.LoongArch64 or Architecture.RiscV64 => 285,
            _ => -1,
        };
        if (number < 0)
        {
            Marshal.SetLastPInvokeError(Errno.ENOSYS);
            return -1;
        }

        long fromOffset = offset, toOffset = offset;
        // Not longer at once, so that a signal is heard.
        return copy_file_range(number, from, &fromOffset, to, &toOffset, (nuint)Math.Min(length, 1L << 30), 0);
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long copy_file_range(long number, SafeFileHandle from, long* fromOffset, SafeFileHandle to, long* toOffset, nuint length, uint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long getdents64(long number, SafeFileHandle directory, byte* buffer, nuint size);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdirat(SafeFileHandle directory, string path, uint mode);
}

/// <summary>What a file system says of a file.</summary>
internal readonly record struct FileTimes(long LengthBytes, DateTimeOffset ModifiedAt);
