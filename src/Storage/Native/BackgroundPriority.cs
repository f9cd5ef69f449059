using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Storage.Native;

/// <summary>Lets a thread run only when nothing else wants to: for work that must never delay a dump.</summary>
/// <remarks>
/// <see cref="Thread.Priority"/> has no effect on Linux. The thread asks for the scheduling policy SCHED_IDLE, which any thread that becomes ready interrupts, and for the I/O class
/// of the same name; both are open to every user. System calls, because musl's sched_setscheduler does nothing and no C library has ioprio_set.
/// Source: sched(7), ioprio_set(2).
/// </remarks>
public static unsafe partial class BackgroundPriority
{
    private const int SchedIdle = 5;
    private const int IoprioWhoProcess = 1;
    private const int IoprioClassIdle = 3 << 13;

    private const long CallingThread = 0;

    /// <summary>Applies to the calling thread until it ends; where the system has no such thing or refuses, the thread stays as it is.</summary>
    public static void Enter()
    {
        if (SystemCalls() is not var (setScheduler, setIoPriority))
            return;

        int noPriority = 0;
        _ = syscall(setScheduler, CallingThread, SchedIdle, (nint)(&noPriority));
        _ = syscall(setIoPriority, IoprioWhoProcess, CallingThread, IoprioClassIdle);
    }

    /// <summary>Does <paramref name="work"/> on a thread of its own that runs only then, and waits for it: the caller stays as it is, which a thread that has entered cannot become again.</summary>
    public static T Run<T>(Func<T> work)
    {
        T? result = default;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            Enter();
            try
            {
                result = work();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        })
        { IsBackground = true, Name = "background" };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }

    /// <summary>The numbers of sched_setscheduler and ioprio_set; null where they are not known.</summary>
    private static (long SetScheduler, long SetIoPriority)? SystemCalls() => !OperatingSystem.IsLinux() ? null : RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => (144, 251),
        Architecture.Arm64 or Architecture.LoongArch64 or Architecture.RiscV64 => (119, 30),
        _ => null,
    };

    [LibraryImport("libc")]
    private static partial long syscall(long number, long first, long second, long third);
}
