using System.Diagnostics;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>A directory as one node of several sees it on a network file system: bench/tools/nodefs.c, compiled once per run.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class NodeFileSystem : IAsyncDisposable
{
    private static readonly Lazy<Task<string>> s_program = new(() => SlowFileSystem.CompileAsync("nodefs"));

    private readonly Process _daemon;
    private readonly string _mountPoint;

    private NodeFileSystem(Process daemon, string mountPoint)
    {
        _daemon = daemon;
        _mountPoint = mountPoint;
    }

    /// <summary>Mounts the directory <paramref name="store"/> on the directory <paramref name="mountPoint"/>.</summary>
    /// <param name="store">What all nodes share.</param>
    /// <param name="mountPoint">Where this node sees it.</param>
    /// <param name="options">Those at the top of nodefs.c.</param>
    public static async Task<NodeFileSystem> MountAsync(string store, string mountPoint, params string[] options)
    {
        Directory.CreateDirectory(store);
        Directory.CreateDirectory(mountPoint);
        var info = CommandResult.StartInfoOf(await s_program.Value, [.. options, store, mountPoint]);
        // What it complains about belongs to this test run's output.
        info.RedirectStandardError = false;
        var files = new NodeFileSystem(Process.Start(info)!, mountPoint);
        try
        {
            Assert.Equal("ready", await files._daemon.StandardOutput.ReadLineAsync().WaitAsync(CommandResult.Deadline));
            return files;
        }
        catch
        {
            await files.DisposeAsync();
            throw;
        }
    }

    /// <summary>The node dies: what it had not synced is gone, names only where the options say so. Whoever uses the mount gets errors until it is disposed of.</summary>
    public async Task KillAsync()
    {
        _daemon.Send(Signal.User1);
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _daemon.WaitForExitAsync(timeUp.Token);
    }

    /// <summary>No call returns, until what this returns is disposed of.</summary>
    public IDisposable Pause() => new PausedProcess(_daemon);

    /// <summary>Unmounts; what was not synced gets into the store, unless the node died.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_daemon.HasExited)
            _daemon.Send(Signal.Terminate);
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _daemon.WaitForExitAsync(timeUp.Token);
        // Killed, it left a dead mount.
        if (_daemon.ExitCode != 0)
            (await CommandResult.RunAsync("umount", ["--lazy", _mountPoint])).Expect(0);
        _daemon.Dispose();
    }
}
