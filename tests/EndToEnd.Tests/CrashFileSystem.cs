using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Threading.Channels;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A mounted file system that fails as told and that loses, when its machine crashes, what was not synced: bench/tools/crashfs.c, compiled once per run.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed partial class CrashFileSystem : IAsyncDisposable
{
    private static readonly Lazy<Task<string>> s_program = new(() => SlowFileSystem.CompileAsync("crashfs"));

    private readonly Channel<string> _replies = Channel.CreateUnbounded<string>();
    private readonly SemaphoreSlim _crashes = new(0);
    private readonly Process _daemon;

    private CrashFileSystem(Process daemon)
    {
        _daemon = daemon;
        _daemon.OutputDataReceived += (_, line) => Take(line.Data);
        _daemon.BeginOutputReadLine();
    }

    /// <summary>Mounts an empty one on the directory <paramref name="mountPoint"/>.</summary>
    public static async Task<CrashFileSystem> MountAsync(string mountPoint)
    {
        Directory.CreateDirectory(mountPoint);
        var info = CommandResult.StartInfoOf(await s_program.Value, [mountPoint]);
        info.RedirectStandardInput = true;
        // What it complains about belongs to this test run's output.
        info.RedirectStandardError = false;
        var files = new CrashFileSystem(Process.Start(info)!);
        try
        {
            Assert.Equal("ready", await files.ReplyAsync());
            return files;
        }
        catch
        {
            await files.DisposeAsync();
            throw;
        }
    }

    /// <summary>Has it do what the top of crashfs.c lists, and returns when that is in effect.</summary>
    public async Task TellAsync(string command)
    {
        await _daemon.StandardInput.WriteLineAsync(command);
        await _daemon.StandardInput.FlushAsync();
        Assert.Equal("ok", await ReplyAsync());
    }

    /// <summary>Nothing fails, waits or takes longer any more.</summary>
    public Task RecoverAsync() => TellAsync("go");

    /// <summary>The machine crashes now: every call fails until it is <see cref="UpAsync"/>.</summary>
    public async Task CrashAsync(int seed)
    {
        await TellAsync($"crash {seed}");
        await CrashedAsync();
    }

    /// <summary>A crash that was ordered for later has happened.</summary>
    public async Task CrashedAsync() => Assert.True(await _crashes.WaitAsync(CommandResult.Deadline), "the crash that was ordered did not come");

    /// <summary>Whether a crash that was ordered for later has happened.</summary>
    public Task<bool> HasCrashedAsync() => _crashes.WaitAsync(TimeSpan.Zero);

    /// <summary>The machine is up again, with what was on its device.</summary>
    public Task UpAsync() => TellAsync("up");

    /// <summary>fsync of a file or a directory.</summary>
    /// <returns>0, or the error's number.</returns>
    public static int Sync(string path)
    {
        int file = open(path, 0);
        Assert.True(file >= 0, $"{path} cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}");
        int error = fsync(file) == 0 ? 0 : Marshal.GetLastPInvokeError();
        Assert.Equal(0, close(file));
        return error;
    }

    /// <summary>Lets every call return and unmounts; what was in it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        _daemon.StandardInput.Close();
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _daemon.WaitForExitAsync(timeUp.Token);
        _daemon.Dispose();
        _crashes.Dispose();
    }

    private async Task<string> ReplyAsync() => await _replies.Reader.ReadAsync().AsTask().WaitAsync(CommandResult.Deadline);

    private void Take(string? line)
    {
        if (line is null)
            _replies.Writer.TryComplete();
        else if (line == "crashed")
            _crashes.Release();
        else
            _replies.Writer.TryWrite(line);
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int file);
}
