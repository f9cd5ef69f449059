using System.Diagnostics;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Scripts;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Scripts;

[UnsupportedOSPlatform("windows")]
public sealed class ScriptRunnerTests : IDisposable
{
    private static readonly ScriptCall s_call = new("success", new(0x0a000207), "web 1", "sub/info.web.0", "sub/vmcore.web.0", DumpStatus.Complete, "/dumps/sub/dump.web.0.json");

    private readonly string _directory = Directory.CreateTempSubdirectory("netdump-script-").FullName;
    private readonly List<string> _output = [];
    private readonly ManualTimeProvider _time = new();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Gets_netdumpds_arguments_and_directory_and_hardly_an_environment()
    {
        string script = Script("for a in \"$@\"; do echo \"<$a>\"; done; pwd; tr '\\0' '\\n' </proc/$$/environ; exit 3");

        var result = await RunAsync(script);

        Assert.Equal(
            ["<success>", "<10.0.2.7>", "<web 1>", "<sub/info.web.0>", "<sub/vmcore.web.0>", _directory,
                "NETDUMP_STATUS=complete", "NETDUMP_MANIFEST=/dumps/sub/dump.web.0.json"],
            _output);
        Assert.Equal((3, false, null), (result.ExitCode, result.TimedOut, result.Error));
    }

    [Fact]
    public async Task Has_an_empty_input()
    {
        var result = await RunAsync(Script("cat; echo end >&2"));

        Assert.Equal(["end"], _output);
        Assert.Equal(0, result.ExitCode);
    }

    [Fact]
    public async Task Is_killed_with_its_children_when_its_time_is_up()
    {
        string script = Script("sleep 1000 & echo $!; wait");
        int child = 0;

        var result = await RunAsync(script, line =>
        {
            child = int.Parse(line, System.Globalization.CultureInfo.InvariantCulture);
            _time.Advance(ScriptRunner.DefaultTimeout);
        });

        Assert.True(result.TimedOut);
        Assert.Null(result.ExitCode);
        Assert.Equal(ScriptRunner.DefaultTimeout, result.Duration);
        Assert.False(IsAlive(child));
    }

    [Fact]
    public async Task Is_killed_when_the_server_stops()
    {
        using var stop = new CancellationTokenSource();
        using var runner = Runner(Script("echo started; exec sleep 1000"));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => runner.RunAsync(s_call, _ => stop.Cancel(), stop.Token));
    }

    [Fact]
    public async Task A_child_in_the_background_holds_nothing_up()
    {
        int child = 0;
        var result = await RunAsync(Script("sleep 1000 & echo $!"), line => child = int.Parse(line, System.Globalization.CultureInfo.InvariantCulture));

        Assert.Equal(0, result.ExitCode);
        Assert.True(IsAlive(child));
        Process.GetProcessById(child).Kill();
    }

    [Fact]
    public async Task Output_is_bounded_and_printable()
    {
        string script = Script("printf 'a\\033[31mb\\n'; head -c 5000 /dev/zero | tr '\\0' x; echo; i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; printf tail");

        var result = await RunAsync(script);

        Assert.Equal(0, result.ExitCode);
        Assert.Equal(@"a\x1b[31mb", _output[0]);
        Assert.Equal(new string('x', ScriptOutput.MaxLineBytes), _output[1]);
        Assert.Equal("0", _output[2]);
        Assert.Equal(ScriptOutput.MaxLines, _output.Count);
        Assert.Equal("more than 999 lines, the rest is not logged", _output[^1]);
    }

    [Fact]
    public async Task A_last_line_without_an_end_is_output_too()
    {
        await RunAsync(Script("printf tail"));

        Assert.Equal(["tail"], _output);
    }

    [Fact]
    public async Task A_signal_is_told_as_by_a_shell() => Assert.Equal(128 + 15, (await RunAsync(Script("kill -TERM $$"))).ExitCode);

    [Fact]
    public async Task One_that_cannot_be_started_is_an_error_and_no_exception()
    {
        string script = Script("true");
        File.WriteAllText(script, "#!/nonexistent/interpreter\n");

        var result = await RunAsync(script);

        Assert.Null(result.ExitCode);
        Assert.Contains($"script {script} cannot be started: ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_more_run_at_a_time_than_allowed()
    {
        // Each says when it runs and ends when its own file appears.
        string script = Script("echo $3; while [ ! -e go.$3 ]; do sleep 0.01; done");
        using var runner = Runner(script, maxRunning: 2);
        using var started = new SemaphoreSlim(0);
        var order = new List<string>();
        Task<ScriptResult>[] running = [.. Enumerable.Range(0, 5).Select(i => runner.RunAsync(s_call with { Host = $"h{i}" }, line =>
        {
            lock (order)
                order.Add(line);
            started.Release();
        }, CancellationToken.None))];

        for (int done = 0; done < 5; done++)
        {
            for (int i = 0; i < (done == 0 ? 2 : done <= 3 ? 1 : 0); i++)
                await started.WaitAsync();
            lock (order)
                Assert.Equal(Math.Min(5, done + 2), order.Count);
            File.WriteAllText(Path.Combine(_directory, $"go.{order[done]}"), "");
        }

        Assert.All(await Task.WhenAll(running), result => Assert.Equal(0, result.ExitCode));
    }

    [Fact]
    public void Check_names_what_is_wrong_with_a_script()
    {
        string script = Script("true");
        Assert.Null(ScriptRunner.Check(script));

        File.SetUnixFileMode(script, UnixFileMode.UserRead);
        Assert.Contains("is not executable", ScriptRunner.Check(script), StringComparison.Ordinal);
        Assert.Contains("does not exist", ScriptRunner.Check(script + "x"), StringComparison.Ordinal);
        Assert.Contains("is a directory", ScriptRunner.Check(_directory), StringComparison.Ordinal);
    }

    private string Script(string body)
    {
        string path = Path.Combine(_directory, "after");
        File.WriteAllText(path, $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private ScriptRunner Runner(string script, int maxRunning = 1) => new(script, _directory, maxRunning, ScriptRunner.DefaultTimeout, _time);

    private async Task<ScriptResult> RunAsync(string script, Action<string>? onOutput = null)
    {
        using var runner = Runner(script);
        return await runner.RunAsync(s_call, onOutput ?? _output.Add, CancellationToken.None);
    }

    /// <summary>A killed process whose parent is gone may still be a zombie.</summary>
    private static bool IsAlive(int processId)
    {
        string status = $"/proc/{processId}/status";
        try
        {
            return !File.ReadAllText(status).Contains("State:\tZ", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
