using Microsoft.Win32.SafeHandles;

namespace NetdumpCollector.Transport;

/// <summary>A thread as the Linux kernel knows it; elsewhere one of which nothing is known.</summary>
/// <remarks>It keeps a descriptor: a process that has used up its own must not take a busy thread for a stuck one.</remarks>
internal sealed class KernelThread : IDisposable
{
    private const int MaxBytesToState = 256;

    private readonly SafeFileHandle? _stat;

    private KernelThread(SafeFileHandle? stat) => _stat = stat;

    /// <summary>The calling thread.</summary>
    public static KernelThread OpenCurrent()
    {
        try
        {
            // The file stays this thread's, whoever reads it.
            return new(OperatingSystem.IsLinux() ? File.OpenHandle("/proc/thread-self/stat", share: FileShare.ReadWrite) : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new(null);
        }
    }

    /// <summary>The thread waits for something; false while it runs or only waits for a processor. True where nothing is known.</summary>
    /// <remarks>Source: proc_pid_stat(5), the state follows the name in parentheses, which may hold anything.</remarks>
    public bool IsWaiting
    {
        get
        {
            if (_stat is null)
                return true;
            try
            {
                Span<byte> stat = stackalloc byte[MaxBytesToState];
                stat = stat[..RandomAccess.Read(_stat, stat, 0)];
                int state = stat.LastIndexOf((byte)')') + 2;
                return state >= stat.Length || stat[state] != 'R';
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
            {
                // It has ended.
                return true;
            }
        }
    }

    public void Dispose() => _stat?.Dispose();
}
