using System.Runtime.InteropServices;

namespace NetdumpCollector.Storage.Native;

/// <summary>Error numbers of system calls, and how they are told to an operator.</summary>
internal static class Errno
{
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int EEXIST = 17;
    public const int EXDEV = 18;
    public const int ENOTDIR = 20;
    public const int EINVAL = 22;
    public const int EFBIG = 27;

    public static readonly int EAGAIN = OperatingSystem.IsLinux() ? 11 : 35;
    public static readonly int ELOOP = OperatingSystem.IsLinux() ? 40 : 62;
    public static readonly int ESTALE = OperatingSystem.IsLinux() ? 116 : 70;
    public static readonly int EOPNOTSUPP = OperatingSystem.IsLinux() ? 95 : 102;
    public static readonly int ENOSYS = OperatingSystem.IsLinux() ? 38 : 78;

    /// <summary>The error of the last system call of this thread.</summary>
    public static int Last => Marshal.GetLastPInvokeError();

    /// <summary>"No space left on device (ENOSPC)".</summary>
    public static string Words(int errno) =>
        Name(errno) is string name ? $"{Marshal.GetPInvokeErrorMessage(errno)} ({name})" : Marshal.GetPInvokeErrorMessage(errno);

    /// <summary>The symbol, where it is the same on every system or the system is Linux.</summary>
    private static string? Name(int errno) => errno switch
    {
        EPERM => "EPERM",
        ENOENT => "ENOENT",
        EIO => "EIO",
        6 => "ENXIO",
        9 => "EBADF",
        12 => "ENOMEM",
        13 => "EACCES",
        16 => "EBUSY",
        EEXIST => "EEXIST",
        EXDEV => "EXDEV",
        19 => "ENODEV",
        ENOTDIR => "ENOTDIR",
        21 => "EISDIR",
        EINVAL => "EINVAL",
        23 => "ENFILE",
        24 => "EMFILE",
        EFBIG => "EFBIG",
        28 => "ENOSPC",
        30 => "EROFS",
        _ when !OperatingSystem.IsLinux() => null,
        11 => "EAGAIN",
        36 => "ENAMETOOLONG",
        38 => "ENOSYS",
        40 => "ELOOP",
        95 => "EOPNOTSUPP",
        116 => "ESTALE",
        122 => "EDQUOT",
        _ => null,
    };
}
