using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A collector that is started as a service manager starts it: told where to report, with an environment of its own.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class ServiceProcess : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly Process _process;

    private ServiceProcess(ProcessStartInfo info)
    {
        _process = new Process { StartInfo = info };
        _process.OutputDataReceived += (_, line) => Add(line.Data);
        _process.ErrorDataReceived += (_, line) => Add(line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int ProcessId => _process.Id;

    /// <summary>All it has printed so far.</summary>
    public string Output => string.Join('\n', _lines);

    /// <summary>Starts <paramref name="program"/> with the umask of a service manager that sets none.</summary>
    /// <param name="program">Its path.</param>
    /// <param name="environment">All variables it gets.</param>
    /// <param name="arguments">Its arguments.</param>
    public static ServiceProcess Start(string program, IEnumerable<KeyValuePair<string, string>> environment, params string[] arguments)
    {
        // The shell becomes the program, so that its process id is the program's.
        var info = CommandResult.StartInfoOf("/bin/sh", ["-c", "umask 0; exec \"$@\"", "sh", program, .. arguments]);
        info.Environment.Clear();
        foreach (var (name, value) in environment)
            info.Environment[name] = value;
        return new(info);
    }

    public Task PrintsAsync(string text) => Eventually.Holds(
        () =>
        {
            Assert.False(_process.HasExited && !Output.Contains(text, StringComparison.Ordinal), $"the server ended:\n{Output}");
            return Output.Contains(text, StringComparison.Ordinal);
        },
        $"\"{text}\" in what the server prints");

    public void Terminate() => _process.Send(Signal.Terminate);

    /// <summary>Waits until it has ended; the exit code is 0.</summary>
    public async Task EndsAsync()
    {
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _process.WaitForExitAsync(timeUp.Token);
        Assert.True(_process.ExitCode == 0, $"exit code {_process.ExitCode}:\n{Output}");
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    private void Add(string? line)
    {
        if (line is not null)
            _lines.Enqueue(line);
    }
}
