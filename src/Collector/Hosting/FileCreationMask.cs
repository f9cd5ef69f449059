using System.Runtime.InteropServices;

namespace NetdumpCollector.Collector.Hosting;

/// <summary>What this process makes is for its own user: a dump is all of a kernel's memory.</summary>
internal static partial class FileCreationMask
{
    private const uint OwnerOnly = 0x3f; // 077

    /// <summary>Takes all rights of group and others from files that this process and its scripts make from now on.</summary>
    public static void Restrict()
    {
        if (!OperatingSystem.IsWindows())
            _ = umask(OwnerOnly);
    }

    // mode_t is 16 or 32 bits wide.
    [LibraryImport("libc")]
    private static partial uint umask(uint mask);
}
