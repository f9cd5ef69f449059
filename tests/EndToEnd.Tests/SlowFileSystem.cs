using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A mounted file system of a daemon that can be slow or not answer at all: bench/tools/slowfs.c, compiled once per run.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class SlowFileSystem : IAsyncDisposable
{
    // CAP_SYS_ADMIN (linux/capability.h), which a mount takes.
    private const int CapabilityToMount = 21;

    private static readonly Lazy<Task<string>> s_program = new(() => CompileAsync("slowfs"));

    private readonly Process _daemon;

    private SlowFileSystem(Process daemon, string device)
    {
        _daemon = daemon;
        Device = device;
    }

    /// <summary>This machine lets FUSE file systems be mounted.</summary>
    public static bool CanMount { get; } = HasCapabilityToMount() && CanOpenFuse();

    /// <summary>What FUSE file systems are compiled with is here.</summary>
    public static bool HasLibrary { get; } = Ndblast.HasCompiler && HasFuseLibrary();

    /// <summary>The directory whose files it passes on; it answers even while the file system hangs.</summary>
    public string Device { get; }

    /// <summary>Mounts one on the directory <paramref name="mountPoint"/>, with the files of the directory <paramref name="device"/>.</summary>
    public static async Task<SlowFileSystem> MountAsync(string device, string mountPoint, params string[] options)
    {
        Directory.CreateDirectory(device);
        Directory.CreateDirectory(mountPoint);
        var info = CommandResult.StartInfoOf(await s_program.Value, [.. options, device, mountPoint]);
        // What it complains about belongs to this test run's output.
        info.RedirectStandardError = false;
        var slow = new SlowFileSystem(Process.Start(info)!, device);
        try
        {
            Assert.Equal("ready", await slow._daemon.StandardOutput.ReadLineAsync().WaitAsync(CommandResult.Deadline));
            return slow;
        }
        catch
        {
            await slow.DisposeAsync();
            throw;
        }
    }

    /// <summary>From now on no call returns.</summary>
    public void Hang() => _daemon.Send(Signal.User1);

    /// <summary>Calls return again.</summary>
    public void Free() => _daemon.Send(Signal.User2);

    /// <summary>Lets every call return and unmounts, so that nothing that uses it is stuck for good.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_daemon.HasExited)
            _daemon.Send(Signal.Terminate);
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        await _daemon.WaitForExitAsync(timeUp.Token);
        _daemon.Dispose();
    }

    /// <summary>Compiles one of bench/tools that are FUSE file systems.</summary>
    /// <returns>The program's path.</returns>
    internal static async Task<string> CompileAsync(string name)
    {
        string flags = (await CommandResult.RunAsync("pkg-config", ["--cflags", "--libs", "fuse3"])).Expect(0).Output;
        return await Ndblast.CompileAsync(name, flags.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }

    private static bool HasCapabilityToMount()
    {
        const string Effective = "CapEff:";
        string? line = File.Exists("/proc/self/status") ? File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(Effective, StringComparison.Ordinal)) : null;
        return line is not null && (ulong.Parse(line.AsSpan(Effective.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & 1ul << CapabilityToMount) != 0;
    }

    private static bool CanOpenFuse()
    {
        try
        {
            using var device = File.OpenHandle("/dev/fuse", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static bool HasFuseLibrary()
    {
        try
        {
            using var process = Process.Start("pkg-config", ["--exists", "fuse3"]);
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}

/// <summary>A theory that needs a <see cref="SlowFileSystem"/> or a <see cref="CrashFileSystem"/>; skipped where none can be mounted or, except in CI, compiled.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class FuseTheoryAttribute : TheoryAttribute
{
    public FuseTheoryAttribute()
    {
        if (!SlowFileSystem.CanMount)
            Skip = "needs to mount a FUSE file system, which takes root and /dev/fuse";
        else if (!SlowFileSystem.HasLibrary && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("CI")))
            Skip = "gcc, pkg-config and libfuse3-dev are needed to compile the file systems of bench/tools";
    }
}
