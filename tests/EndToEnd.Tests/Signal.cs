using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What a process can be told from outside, by Linux's numbers.</summary>
internal enum Signal
{
    User1 = 10,
    User2 = 12,
    Terminate = 15,
    Continue = 18,
    Stop = 19,
}

[UnsupportedOSPlatform("windows")]
internal static partial class SignalExtensions
{
    public static void Send(this Process process, Signal signal) => Assert.Equal(0, kill(process.Id, (int)signal));

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);
}
