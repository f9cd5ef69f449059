using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Scripts;

/// <summary>What a script is told of an ended dump.</summary>
/// <param name="Reason">One of <see cref="ScriptReason"/>.</param>
/// <param name="Client">The host's address.</param>
/// <param name="Host">The host as it is in file names.</param>
/// <param name="InfoFile">Path from the dump directory.</param>
/// <param name="CoreFile">Path from the dump directory.</param>
/// <param name="Status">What the dump is worth, for <c>NETDUMP_STATUS</c>.</param>
/// <param name="ManifestPath">Absolute path, for <c>NETDUMP_MANIFEST</c>.</param>
public sealed record ScriptCall(string Reason, Ipv4 Client, string Host, string InfoFile, string CoreFile, DumpStatus Status, string ManifestPath);

/// <summary>How a script went.</summary>
/// <param name="ExitCode">128 and the signal when one ended it; null when it did not start or ran out of time.</param>
/// <param name="TimedOut">It was killed, with its children, because its time was up.</param>
/// <param name="StartedAt">When it was started.</param>
/// <param name="Duration">How long it ran.</param>
/// <param name="Error">Why it did not start, in words, or null.</param>
public sealed record ScriptResult(int? ExitCode, bool TimedOut, DateTimeOffset StartedAt, TimeSpan Duration, string? Error);

/// <summary>Runs the operator's script after dumps, as netdumpd does: <c>SCRIPT REASON CLIENT-IP HOST INFO-FILE CORE-FILE</c>.</summary>
/// <remarks>
/// The working directory is the dump directory, standard input is empty, and the environment is <c>NETDUMP_STATUS</c> and <c>NETDUMP_MANIFEST</c> only.
/// Source: protocol.md, "Files and conventions of netdumpd".
/// </remarks>
public sealed partial class ScriptRunner : IDisposable
{
    public const int DefaultMaxRunning = 4;
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(300);

    /// <summary>Children that a script leaves in the background may keep its output open; it is not read for longer than this after the script's end.</summary>
    private static readonly TimeSpan s_outputGrace = TimeSpan.FromSeconds(1);

    private const int ExecuteAccess = 1;

    private readonly string _script;
    private readonly string _dumpDirectory;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _slots;

    /// <param name="script">Path of the script; <see cref="Check"/> it first.</param>
    /// <param name="dumpDirectory">Absolute path.</param>
    /// <param name="maxRunning">Scripts that run at the same time; more wait.</param>
    /// <param name="timeout">Longest time one may run.</param>
    /// <param name="time">The clock of the timeout.</param>
    public ScriptRunner(string script, string dumpDirectory, int maxRunning, TimeSpan timeout, TimeProvider time)
    {
        _script = System.IO.Path.GetFullPath(script);
        _dumpDirectory = dumpDirectory;
        _timeout = timeout;
        _time = time;
        _slots = new(maxRunning);
    }

    /// <summary>The script's absolute path.</summary>
    public string Path => _script;

    /// <summary>Why <paramref name="script"/> cannot be run, or null when it can.</summary>
    public static string? Check(string script)
    {
        if (Directory.Exists(script))
            return $"script {script} is a directory";
        if (!File.Exists(script))
            return $"script {script} does not exist";
        if (access(script, ExecuteAccess) != 0)
            return $"script {script} is not executable for {Environment.UserName}; chmod +x it";
        return null;
    }

    /// <summary>Runs the script, when one of the slots is free.</summary>
    /// <param name="call">The dump it is run for.</param>
    /// <param name="onOutput">Gets each line of its output, printable and bounded in length and number; called by several threads, one at a time.</param>
    /// <param name="cancellation">Kills the script.</param>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was requested.</exception>
    public async Task<ScriptResult> RunAsync(ScriptCall call, Action<string> onOutput, CancellationToken cancellation)
    {
        await _slots.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            return await RunNowAsync(call, new ScriptOutput(onOutput), cancellation).ConfigureAwait(false);
        }
        finally
        {
            _slots.Release();
        }
    }

    public void Dispose() => _slots.Dispose();

    private async Task<ScriptResult> RunNowAsync(ScriptCall call, ScriptOutput output, CancellationToken cancellation)
    {
        var startedAt = _time.GetUtcNow();
        long start = _time.GetTimestamp();
        using var timeUp = new CancellationTokenSource(_timeout, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(timeUp.Token, cancellation);
        using var process = new Process { StartInfo = StartInfoOf(call) };
        try
        {
            process.Start();
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            return new(null, TimedOut: false, startedAt, _time.GetElapsedTime(start), $"script {_script} cannot be started: {e.Message}");
        }

        using var stopReading = new CancellationTokenSource();
        var reading = Task.WhenAll(
            output.ReadAsync(process.StandardOutput.BaseStream, stopReading.Token),
            output.ReadAsync(process.StandardError.BaseStream, stopReading.Token));
        bool ended = await WaitAsync(process, stop.Token).ConfigureAwait(false);
        var duration = _time.GetElapsedTime(start);
        stopReading.CancelAfter(s_outputGrace);
        await reading.ConfigureAwait(false);

        cancellation.ThrowIfCancellationRequested();
        return new(ended ? process.ExitCode : null, TimedOut: !ended, startedAt, duration, Error: null);
    }

    private ProcessStartInfo StartInfoOf(ScriptCall call)
    {
        var info = new ProcessStartInfo(_script, [call.Reason, call.Client.ToString(), call.Host, call.InfoFile, call.CoreFile])
        {
            WorkingDirectory = _dumpDirectory,
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        info.Environment.Clear();
        info.Environment["NETDUMP_STATUS"] = call.Status.ToString().ToLowerInvariant();
        info.Environment["NETDUMP_MANIFEST"] = call.ManifestPath;
        return info;
    }

    /// <summary>Waits for the script's end; false when <paramref name="stop"/> came first, and then it and its children have been killed.</summary>
    private static async Task<bool> WaitAsync(Process process, CancellationToken stop)
    {
        try
        {
            process.StandardInput.Close();
            await process.WaitForExitAsync(stop).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
            return false;
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int access(string path, int mode);
}
