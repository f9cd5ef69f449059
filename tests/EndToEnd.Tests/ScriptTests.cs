using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>The operator's script when it hangs, and when the server is killed around it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ScriptTests : IDisposable
{
    private static readonly TestDump s_dump = new(200_000);

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    private string Dumps => _temp.File("dumps");

    /// <summary>Also what a killed server left running ends.</summary>
    public void Dispose()
    {
        File.WriteAllText(_temp.File("go"), "");
        _temp.Dispose();
    }

    [Fact]
    public async Task What_a_kill_kept_from_running_to_its_end_runs_after_the_restart()
    {
        await using var server = new KilledCollector(Dumps, "--client-port", $"{_clientPort}", "-i", WriteScript(), "--script-concurrency", "1");
        await server.StartAsync();
        using WireClient begun = NewClient(server), waiting = NewClient(server), later = NewClient(server);
        begun.SendDump(s_dump);
        await Eventually.Holds(() => Runs().Length == 1, "the first dump's script runs");
        waiting.SendDump(s_dump);
        await server.KillAsync();
        Assert.All(server.Outputs, output => Assert.DoesNotContain("exit code", output, StringComparison.Ordinal));

        File.WriteAllText(_temp.File("go"), "");
        await server.StartAsync();
        await Eventually.Holds(() => server.Running.Dumps is [{ Manifest.Script: not null }, { Manifest.Script: not null }], "both scripts ran to their end");

        later.SendDump(s_dump);
        await Eventually.Holds(() => server.Running.Dumps is [_, _, { Manifest.Script: not null }], "the script of a later dump ran");
        Assert.All(server.Running.Dumps, dump => Assert.Equal((0, "success", false), (dump.Manifest.Script!.ExitCode, dump.Manifest.Script.Reason, dump.Manifest.ScriptPending)));
        Assert.Equal(
            ((WireClient[])[begun, begun, waiting, later]).Select(client => $"success {client.Address}").Order(StringComparer.Ordinal),
            Runs().Order(StringComparer.Ordinal));

        // And nothing more by the next one.
        await server.StopAsync();
        await server.StartAsync();
        later.Reboot();
        later.SendDump(s_dump);
        await Eventually.Holds(() => Runs().Length > 4, "the script of the last dump ran");
        await server.StopAsync();
        Assert.Equal(5, Runs().Length);
    }

    [Fact]
    public async Task One_that_hangs_is_killed_after_its_time_and_holds_no_dump_up()
    {
        await using var server = new KilledCollector(Dumps, "--client-port", $"{_clientPort}", "-i", WriteScript(), "--script-timeout", "1", "--script-concurrency", "1");
        await server.StartAsync();
        using WireClient first = NewClient(server), second = NewClient(server);
        first.SendDump(s_dump);
        second.SendDump(s_dump);

        Assert.Equal([DumpStatus.Complete, DumpStatus.Complete], server.Running.Dumps.Select(dump => dump.Manifest.Status));
        await Eventually.Holds(() => server.Running.Dumps.All(dump => dump.Manifest.Script is { TimedOut: true, ExitCode: null }), "both scripts were killed");
        await server.Running.PrintsAsync(": killed after 1 s");
        await server.StopAsync();
    }

    [Fact]
    public async Task Those_that_have_not_ended_when_the_server_does_are_told_of_and_are_no_failure()
    {
        await using var server = new KilledCollector(Dumps, "--client-port", $"{_clientPort}", "-i", WriteScript(), "--script-concurrency", "1");
        await server.StartAsync();
        using WireClient runs = NewClient(server), waits = NewClient(server);
        runs.SendDump(s_dump);
        await Eventually.Holds(() => Runs().Length == 1, "the first dump's script runs");
        waits.SendDump(s_dump);
        string[] files = [.. server.Running.Dumps.Select(dump => dump.Manifest.Files.Vmcore).Order(StringComparer.Ordinal)];
        // Each has its line after FINISHED's ack.
        foreach (string file in files)
            await server.Running.PrintsAsync($"({file}, ");

        await server.StopAsync();

        Assert.EndsWith(
            $"Shutting down...\nwarning: Scripts that have not ended: 2 ({string.Join(", ", files)}); those that run are left running, and the next start runs them again",
            server.Outputs[^1], StringComparison.Ordinal);
        Assert.Single(Runs());
        File.WriteAllText(_temp.File("go"), "");
        await server.StartAsync();
        await Eventually.Holds(() => server.Running.Dumps is [{ Manifest.Script.ExitCode: 0 }, { Manifest.Script.ExitCode: 0 }], "both scripts ran to their end");
        await server.StopAsync();
    }

    private string[] Runs() => File.Exists(_temp.File("runs")) ? File.ReadAllLines(_temp.File("runs")) : [];

    /// <summary>A script that tells of its run and goes on only when it may.</summary>
    private string WriteScript()
    {
        string script = _temp.File("script");
        File.WriteAllText(script, $"#!/bin/sh\necho \"$1 $2\" >>'{_temp.File("runs")}'\nuntil [ -e '{_temp.File("go")}' ] || [ ! -d '{_temp.Path}' ]; do sleep 0.05; done\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return script;
    }

    private WireClient NewClient(KilledCollector server)
    {
        Assert.True(Ipv4.TryParse(server.Address, out var address));
        return new(Collector.NewClientAddresses(), _clientPort, address, server.Port);
    }
}
