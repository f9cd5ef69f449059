using System.Runtime.InteropServices;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests.Native;

public sealed partial class BackgroundPriorityTests
{
    private const int SchedOther = 0;
    private const int SchedIdle = 5;

    [Fact]
    public void The_calling_thread_becomes_idle_for_the_processor_and_no_other_does()
    {
        var before = Policy();
        var inside = OnNewThread(() =>
        {
            BackgroundPriority.Enter();
            return Policy();
        });

        Assert.Equal(OperatingSystem.IsLinux() ? (SchedOther, SchedIdle) : (before, before), (before, inside));
        Assert.Equal(before, Policy());
        Assert.Equal(before, OnNewThread(Policy));
    }

    [Fact]
    public void Work_can_be_idle_while_its_caller_is_not()
    {
        var before = Policy();

        Assert.Equal(OperatingSystem.IsLinux() ? SchedIdle : before, BackgroundPriority.Run(Policy));
        Assert.Equal(before, Policy());
        Assert.Equal("boom", Assert.Throws<StorageException>(() => BackgroundPriority.Run<int>(() => throw new StorageException("boom"))).Message);
    }

    [Fact]
    public void The_calling_thread_becomes_idle_for_the_disk()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return;

        const long IoprioGet = 252;
        const int IoprioWhoProcess = 1;
        const int ClassShift = 13;
        const int ClassIdle = 3;

        Assert.Equal(ClassIdle, OnNewThread(() =>
        {
            BackgroundPriority.Enter();
            return (int)syscall(IoprioGet, IoprioWhoProcess, 0) >> ClassShift;
        }));
    }

    private static T OnNewThread<T>(Func<T> function)
    {
        T result = default!;
        var thread = new Thread(() => result = function());
        thread.Start();
        thread.Join();
        return result;
    }

    private static int Policy() => OperatingSystem.IsLinux() ? sched_getscheduler(0) : SchedOther;

    [LibraryImport("libc")]
    private static partial int sched_getscheduler(int thread);

    [LibraryImport("libc")]
    private static partial long syscall(long number, long first, long second);
}
