using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage.Native;

/// <summary>Who may do what with a file.</summary>
internal static unsafe partial class Posix
{
    // struct statx: stx_uid at byte 20, stx_gid at 24, stx_mode at 28, stx_blocks, of 512 bytes, at 48.
    private const int StatxUser = 5;
    private const int StatxGroup = 6;
    private const int StatxMode = 7;
    private const int StatxBlocks = 12;
    private const uint StatxTypeMask = 0x01;
    private const uint FileTypeBits = 0xf000;
    private const uint RegularFile = 0x8000;
    private const uint StatxOwnerMask = 0x08 | 0x10;
    private const uint StatxBlocksMask = 0x400;
    private const int AtSymlinkNoFollow = 0x100;
    private const int AtWorkingDirectory = -100;

    /// <summary>The user this process acts as.</summary>
    [LibraryImport("libc", EntryPoint = "geteuid")]
    [UnsupportedOSPlatform("windows")]
    public static partial uint EffectiveUser();

    /// <summary>Owner and group of an open file; null where the system does not say.</summary>
    public static FileOwner? OwnerOf(SafeFileHandle file) => OwnerOf(file, "", AtEmptyPath);

    /// <summary>The open file is no directory, device, pipe or socket; also where the system does not say and it can be read at any offset.</summary>
    public static bool IsRegular(SafeFileHandle file)
    {
        long number = StatxNumber;
        uint* status = stackalloc uint[StatxWords];
        if (number >= 0 && statx(number, file, "", AtEmptyPath, StatxTypeMask, status) == 0)
            return (status[StatxMode] & FileTypeBits) == RegularFile;
        byte ignored;
        return Read(file, &ignored, 1, 0) >= 0;
    }

    /// <summary>Owner and group of what has the name, a link itself; null where the system does not say or nothing has it.</summary>
    public static FileOwner? OwnerOf(SafeFileHandle directory, string name) => OwnerOf(directory, name, AtSymlinkNoFollow);

    /// <summary>Changes owner and group of an open file; 0 or the error.</summary>
    public static int SetOwner(SafeFileHandle file, FileOwner owner) => fchown(file, owner.User, owner.Group) == 0 ? 0 : Errno.Last;

    /// <summary>Bytes of the device that the file at a path takes, holes left out; null where the system does not say or nothing is there.</summary>
    public static long? AllocatedBytesOf(string path)
    {
        long number = StatxNumber;
        uint* status = stackalloc uint[StatxWords];
        return number >= 0 && statx(number, AtWorkingDirectory, path, AtSymlinkNoFollow, StatxBlocksMask, status) == 0
            ? *(long*)(status + StatxBlocks) * 512
            : null;
    }

    private static FileOwner? OwnerOf(SafeFileHandle file, string path, int flags)
    {
        long number = StatxNumber;
        uint* status = stackalloc uint[StatxWords];
        return number >= 0 && statx(number, file, path, flags, StatxOwnerMask, status) == 0 ? new(status[StatxUser], status[StatxGroup]) : null;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial long statx(long number, int directory, string path, int flags, uint mask, uint* status);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchown(SafeFileHandle file, uint user, uint group);

    /// <summary>Number of the system call, -1 where there is none.</summary>
    private static long StatxNumber => !OperatingSystem.IsLinux() ? -1 : RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => 332,
        Architecture.Arm64 or Architecture.LoongArch64 or Architecture.RiscV64 => 291,
        _ => -1,
    };
}

/// <summary>Whose a file is.</summary>
internal readonly record struct FileOwner(uint User, uint Group);
