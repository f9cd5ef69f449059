using System.Diagnostics;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A process stopped as it is (SIGSTOP) until this is disposed of.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class PausedProcess : IDisposable
{
    private readonly Process _process;

    public PausedProcess(Process process)
    {
        _process = process;
        _process.Send(Signal.Stop);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Send(Signal.Continue);
    }
}
