using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Hosts that die in mid-dump, and those that then panic anew.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ClientFaultTests : IDisposable
{
    private static readonly TestDump s_dump = new(300_000);
    private static readonly TestDump s_next = new(200_000, seed: 2);

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task What_came_of_a_host_that_died_in_mid_dump_is_kept_as_incomplete_and_its_script_told_of_a_timeout(string endpoint)
    {
        await using var collector = await StartAsync("--endpoint", endpoint, "--timeout", "2", "-i", WriteScript());
        using var client = NewClient(collector);
        client.Herald();
        client.SendBurst(s_dump);
        client.SendBurst(s_dump);
        // It dies in the middle of a burst, and the network has lost one of its packets.
        byte[][] last = client.TakeBurst(s_dump);
        const int Lost = 3, Sent = 10;
        foreach (byte[] packet in last[..Lost].Concat(last[(Lost + 1)..Sent]))
            client.Send(packet);
        await Eventually.Holds(() => collector.Dumps is [{ Manifest.Script: not null }], "the script ran");

        var dump = Assert.Single(await collector.HashedDumpsAsync(1));
        const int Begin = 4096 + 65536, Hole = Begin + (Lost * TestDump.PayloadBytes), End = Begin + (Sent * TestDump.PayloadBytes);
        Assert.Equal((DumpStatus.Incomplete, EndReason.ClientTimedOut), (dump.Manifest.Status, dump.Manifest.Reason));
        Assert.Equal([new ByteRange(Hole, Hole + TestDump.PayloadBytes)], dump.Manifest.Missing);
        byte[] expected = s_dump.Content[..End];
        expected.AsSpan(Hole, TestDump.PayloadBytes).Clear();
        Assert.Equal(expected, File.ReadAllBytes(dump.VmcorePath));
        Assert.Equal(
            ["timeout", client.Address.ToString(), dump.Manifest.Host, Path.GetFileName(dump.InfoPath), Path.GetFileName(dump.VmcorePath), "incomplete", dump.ManifestPath],
            File.ReadAllLines(_temp.File("dumps/timeout.args")));
        Assert.Contains("Dump incomplete", File.ReadAllText(dump.InfoPath), StringComparison.Ordinal);

        Assert.Contains("incomplete (clientTimedOut)", (await Collector.RunAsync("dumps", "show", dump.Manifest.Id, "-d", Dumps)).Expect(0).Output, StringComparison.Ordinal);
        // What was lost is missing, and the rest is right.
        string verified = (await Collector.RunAsync("dumps", "verify", dump.Manifest.Id, "-d", Dumps)).Expect(1).Output;
        Assert.Contains($"incomplete: {TestDump.PayloadBytes} bytes missing in 1 ranges", verified, StringComparison.Ordinal);
        Assert.Contains($"{dump.Manifest.Files.Vmcore}: SHA-256 matches, what is there is what was received\n", verified, StringComparison.Ordinal);

        client.Reboot();
        client.SendDump(s_next);
        Assert.Equal([DumpStatus.Incomplete, DumpStatus.Complete], collector.Dumps.Select(ended => ended.Manifest.Status));
        Assert.Equal(s_next.Content, File.ReadAllBytes(collector.Dumps[1].VmcorePath));
        await collector.StopAsync();
    }

    /// <summary>The first kernel is dead: its dump ends as what it is, whether the next panic comes before the restart, in its midst, or after it.</summary>
    [Theory]
    [InlineData("ephemeral", 0)]
    [InlineData("shared", 0)]
    [InlineData("ephemeral", 1)]
    [InlineData("shared", 1)]
    [InlineData("ephemeral", 2)]
    [InlineData("shared", 2)]
    [InlineData("ephemeral", 3)]
    [InlineData("shared", 3)]
    public async Task Of_a_host_that_panics_anew_around_a_restart_both_dumps_are_kept(string endpoint, int stepsBefore)
    {
        await using var server = new KilledCollector(Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
        await server.StartAsync();
        using var client = NewClient(server.Running);
        client.Herald();
        client.SendBurst(s_dump);
        client.SendBurst(s_dump);
        client.Reboot();
        if (stepsBefore > 0)
            client.Herald();
        for (int step = 1; step < stepsBefore; step++)
            client.SendBurst(s_next);
        await server.KillAsync();

        await server.StartAsync();
        var next = server.Running;
        if (stepsBefore == 0)
            client.Herald();
        client.SendRest(s_next);
        client.Finish();
        await Eventually.Holds(() => next.Dumps.Count == 2, "both dumps ended");

        var (older, newer) = (next.Dumps[0], next.Dumps[1]);
        Assert.Equal((DumpStatus.Incomplete, EndReason.Superseded), (older.Manifest.Status, older.Manifest.Reason));
        await next.PrintsAsync($"{Path.GetFileName(older.VmcorePath)}): Superseded, 69632 bytes arrived, 0 known to be missing in 0 ranges");
        Assert.Equal(s_dump.Content[..(4096 + 65536)], File.ReadAllBytes(older.VmcorePath));
        Assert.Equal(DumpStatus.Complete, newer.Manifest.Status);
        Assert.Equal(s_next.Content, File.ReadAllBytes(newer.VmcorePath));
        Assert.Empty(DumpCatalog.Read(Dumps).Problems);
        await server.StopAsync();
    }

    private string WriteScript()
    {
        string script = _temp.File("script");
        File.WriteAllText(script, "#!/bin/sh\nfor a in \"$@\" \"$NETDUMP_STATUS\" \"$NETDUMP_MANIFEST\"; do echo \"$a\"; done >\"$1.args\"\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return script;
    }

    private Task<Collector> StartAsync(params string[] arguments) => Collector.StartAsync(Dumps, ["--client-port", $"{_clientPort}", .. arguments]);

    private WireClient NewClient(Collector collector)
    {
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        return new(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
    }
}
