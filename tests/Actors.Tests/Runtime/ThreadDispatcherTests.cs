using System.Runtime.InteropServices;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Runtime;

public sealed partial class ThreadDispatcherTests
{
    private const int SchedOther = 0;
    private const int SchedIdle = 5;

    [Theory]
    [InlineData(true, SchedIdle)]
    [InlineData(false, SchedOther)]
    public async Task Only_background_threads_wait_for_an_idle_processor(bool background, int policy)
    {
        if (!OperatingSystem.IsLinux())
            return;
        using var threads = new ThreadDispatcher("test", 2, background);
        using var meeting = new Barrier(2);

        // Two at a time, so that the thread made at the start and one made later both tell.
        AskPolicy[] asked = [new(meeting), new(meeting)];
        foreach (var work in asked)
            threads.Execute(work);

        Assert.Equal([policy, policy], await Task.WhenAll(asked.Select(work => work.Policy)).WaitAsync(TimeSpan.FromSeconds(30)));
    }

    private sealed class AskPolicy(Barrier meeting) : ILoopWork
    {
        private readonly TaskCompletionSource<int> _policy = new();

        public Task<int> Policy => _policy.Task;

        public void Run()
        {
            _policy.SetResult(meeting.SignalAndWait(TimeSpan.FromSeconds(30)) ? sched_getscheduler(0) : -1);
        }
    }

    [LibraryImport("libc")]
    private static partial int sched_getscheduler(int thread);
}
