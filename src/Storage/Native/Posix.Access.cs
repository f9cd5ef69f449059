using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Storage.Native;

/// <summary>Who may do what with a file.</summary>
internal static unsafe partial class Posix
{
    // struct statx: stx_uid at byte 20.
    private const int StatxUser = 5;
    private const uint StatxUserMask = 0x08;

    /// <summary>The user this process acts as.</summary>
    [LibraryImport("libc", EntryPoint = "geteuid")]
    [UnsupportedOSPlatform("windows")]
    public static partial uint EffectiveUser();

    /// <summary>The owner of an open file; null where the system does not say.</summary>
    public static uint? OwnerOf(SafeFileHandle file)
    {
        long number = StatxNumber;
        uint* status = stackalloc uint[StatxWords];
        return number >= 0 && statx(number, file, "", AtEmptyPath, StatxUserMask, status) == 0 ? status[StatxUser] : null;
    }

    /// <summary>Number of the system call, -1 where there is none.</summary>
    private static long StatxNumber => !OperatingSystem.IsLinux() ? -1 : RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => 332,
        Architecture.Arm64 or Architecture.LoongArch64 or Architecture.RiscV64 => 291,
        _ => -1,
    };
}
