using System.Runtime.Versioning;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Scripts;

namespace NetdumpCollector.Actors.Tests.Aftermath;

[UnsupportedOSPlatform("windows")]
public sealed class ScriptActorTests
{
    [Theory, EveryTransport]
    public async Task The_script_runs_in_the_dump_directory_and_its_exit_code_is_recorded(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Script = "echo \"$PWD $*\"; test -f \"$4\" && test -f \"$5\" && exit 7" });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);

        client.SendDump(dump);

        var cataloged = Assert.Single(collector.Dumps);
        await Eventually.Holds(() => Assert.Single(collector.Dumps).Manifest.Script is not null, "the manifest tells of the script");
        var script = Assert.Single(collector.Dumps).Manifest.Script!;
        Assert.Equal(("success", 7, false), (script.Reason, script.ExitCode, script.TimedOut));
        Assert.Contains($"{collector.Root} success {client.Address} panicked info.panicked.0 vmcore.panicked.0", collector.Log.All, StringComparison.Ordinal);
        RunningCollector.AssertComplete(cataloged, dump);
    }

    [Theory, EveryTransport]
    public async Task A_script_is_told_of_a_dump_that_timed_out(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Script = "exit 0", Sessions = new() { ClientTimeoutUs = 200_000 } });
        var client = collector.NewClient();
        client.Herald();
        client.SendBurst(new TestDump(100_000));

        await Eventually.Holds(() => collector.Dumps is [{ Manifest.Script.Reason: "timeout", Manifest.Script.ExitCode: 0 }], "the manifest tells of the script");
    }

    [Fact]
    public async Task A_dump_that_is_found_among_left_overs_too_has_its_script_run_once()
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = "portable" });
        var client = collector.NewClient();
        client.SendDump(new TestDump(50_000));
        client.Reboot();
        client.SendDump(new TestDump(50_000));
        var dumps = collector.Dumps.Select(dump => dump.CommittedIn(collector.Root)).ToArray();
        string script = Path.Join(collector.Root, "script");
        File.WriteAllText(script, "#!/bin/sh\necho \"$4 $5\" >>runs\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var runner = new ScriptRunner(script, collector.Root, 1, ScriptRunner.DefaultTimeout, TimeProvider.System);
        using var thread = new ThreadDispatcher("script", 1);
        var scripts = new ActorSystem("test").Spawn<ScriptActor.Message>("script", thread, () => new ScriptActor(runner, collector.Metrics, collector.Log));

        // Found, committed while left-overs are looked for; committed before and told of late; not found.
        scripts.Tell(new ScriptActor.DumpCommitted(dumps[0], client.Address));
        scripts.Tell(new ScriptActor.DumpCommitted(dumps[0], client.Address));
        scripts.Tell(new ScriptActor.LeftOversTold());
        scripts.Tell(new ScriptActor.DumpCommitted(dumps[0], client.Address));
        scripts.Tell(new ScriptActor.DumpCommitted(dumps[1], client.Address));
        await scripts.Ask<bool>(done => new ScriptActor.AwaitEnded(done), Eventually.Deadline);

        Assert.Equal(
            ["info.panicked.0 vmcore.panicked.0", "info.panicked.1 vmcore.panicked.1"],
            File.ReadAllLines(Path.Join(collector.Root, "runs")).Order(StringComparer.Ordinal));
        Assert.All(collector.Dumps, dump => Assert.Equal((0, false), (dump.Manifest.Script!.ExitCode, dump.Manifest.ScriptPending)));
    }

    [Theory, EveryTransport]
    public async Task It_tells_when_no_script_runs_any_more(string transport)
    {
        string marker = Path.Combine(Path.GetTempPath(), $"netdump-marker-{Guid.NewGuid():n}");
        try
        {
            await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Script = $"sleep 0.3; touch {marker}" });
            collector.NewClient().SendDump(new TestDump(50_000));

            Assert.True(await collector.Scripts!.Ask<bool>(done => new ScriptActor.AwaitEnded(done), Eventually.Deadline));

            Assert.True(File.Exists(marker));
        }
        finally
        {
            File.Delete(marker);
        }
    }
}
