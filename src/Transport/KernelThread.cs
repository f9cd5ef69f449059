using System.Globalization;
using System.Runtime.InteropServices;

namespace NetdumpCollector.Transport;

/// <summary>A thread as the Linux kernel knows it; elsewhere one of which nothing is known.</summary>
internal readonly partial record struct KernelThread
{
    private readonly int _id;

    private KernelThread(int id) => _id = id;

    /// <summary>The calling thread.</summary>
    public static KernelThread Current => !OperatingSystem.IsLinux() ? default : RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => new((int)syscall(186)),
        Architecture.Arm64 => new((int)syscall(178)),
        _ => default,
    };

    /// <summary>The thread waits for something; false while it runs or only waits for a processor. True where nothing is known.</summary>
    /// <remarks>Source: proc_pid_stat(5), the state follows the name in parentheses, which may hold anything.</remarks>
    public bool IsWaiting
    {
        get
        {
            if (_id == 0)
                return true;
            try
            {
                string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/self/task/{_id}/stat"));
                int state = stat.LastIndexOf(')') + 2;
                return state >= stat.Length || stat[state] != 'R';
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return true;
            }
        }
    }

    [LibraryImport("libc")]
    private static partial long syscall(long number);
}
