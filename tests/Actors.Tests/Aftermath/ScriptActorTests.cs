using System.Runtime.Versioning;

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

    [Theory, EveryTransport]
    public async Task Stopping_waits_for_scripts_that_run(string transport)
    {
        string marker = Path.Combine(Path.GetTempPath(), $"netdump-marker-{Guid.NewGuid():n}");
        try
        {
            await using (var collector = await RunningCollector.StartAsync(new() { Transport = transport, Script = $"sleep 0.3; touch {marker}" }))
            {
                collector.NewClient().SendDump(new TestDump(50_000));
            }

            Assert.True(File.Exists(marker));
        }
        finally
        {
            File.Delete(marker);
        }
    }
}
