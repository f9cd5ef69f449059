using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>One thread of another process, stopped until this is disposed.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed unsafe partial class StoppedThread : IDisposable
{
    // linux/ptrace.h, linux/wait.h
    private const int PtraceDetach = 17;
    private const int PtraceSeize = 0x4206;
    private const int PtraceInterrupt = 0x4207;
    private const int WaitAll = 0x40000000;

    private readonly SemaphoreSlim _resume = new(0);
    private readonly Thread _tracer;

    private StoppedThread(int thread)
    {
        using var stopped = new ManualResetEventSlim();
        string? failure = null;
        // What is traced belongs to one thread of the tracer.
        _tracer = new Thread(() =>
        {
            bool isSeized = ptrace(PtraceSeize, thread, 0, 0) == 0;
            if (!isSeized || ptrace(PtraceInterrupt, thread, 0, 0) != 0)
                failure = $"thread {thread} cannot be stopped: {Marshal.GetLastPInvokeErrorMessage()}";
            int status;
            if (failure is null)
                _ = waitpid(thread, &status, WaitAll);
            stopped.Set();
            _resume.Wait();
            if (isSeized)
                _ = ptrace(PtraceDetach, thread, 0, 0);
        });
        _tracer.Start();
        stopped.Wait();
        if (failure is null)
            return;
        Dispose();
        Assert.Fail(failure);
    }

    /// <summary>Stops the thread that has this name.</summary>
    public static StoppedThread ByName(int process, string name) => new(int.Parse(
        Path.GetFileName(Directory.GetDirectories($"/proc/{process}/task").Single(task => File.ReadAllText($"{task}/comm").TrimEnd() == name)), CultureInfo.InvariantCulture));

    public void Dispose()
    {
        _resume.Release();
        _tracer.Join();
        _resume.Dispose();
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint ptrace(long request, long thread, nint address, nint data);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int waitpid(int thread, int* status, int options);
}
