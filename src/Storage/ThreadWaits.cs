using System.Runtime.InteropServices;

namespace NetdumpCollector.Storage;

/// <summary>How often the calling thread has waited for something of its own accord, such as a device or a lock; losing the processor to another thread does not count.</summary>
/// <remarks>A write that took long because the machine is busy and one that took long because its device is slow differ in this only. Source: getrusage(2), ru_nvcsw.</remarks>
public static unsafe partial class ThreadWaits
{
    private const int RusageThread = 1;

    // struct rusage on 64-bit Linux: two timevals and 14 longs, ru_nvcsw the 13th of these.
    private const int RusageLongs = 18;
    private const int VoluntarySwitches = 16;

    /// <summary>The count so far; 0 where the system does not tell.</summary>
    public static long Count()
    {
        if (!OperatingSystem.IsLinux() || IntPtr.Size != sizeof(long))
            return 0;
        long* usage = stackalloc long[RusageLongs];
        return getrusage(RusageThread, usage) == 0 ? usage[VoluntarySwitches] : 0;
    }

    [LibraryImport("libc")]
    private static partial int getrusage(int who, long* usage);
}
