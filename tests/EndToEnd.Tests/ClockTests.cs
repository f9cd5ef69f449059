using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Somebody sets the clock of the collector's machine while dumps arrive.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ClockTests : IDisposable
{
    private static readonly TimeSpan s_years = TimeSpan.FromDays(3650);
    private static readonly TestDump s_dump = new(600_000);
    private static readonly TestDump s_other = new(200_000, seed: 2);

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    public void Dispose() => _temp.Dispose();

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_clock_that_jumps_years_ahead_and_back_in_mid_dump_is_not_noticed(string endpoint)
    {
        string dumps = _temp.File("dumps");
        using var clock = new WrongClock(_temp.File("clock"));
        await using var collector = await Collector.StartByAsync(clock, dumps, "--endpoint", endpoint, "--client-port", $"{_clientPort}", "-i", "/bin/true");
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
        using var idle = new WireClient(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
        idle.Herald();
        client.Herald();
        client.SendBurst(s_dump);
        clock.JumpTo(s_years);
        client.SendBurst(s_dump);
        clock.JumpTo(-s_years);
        client.SendBurst(s_dump);
        clock.JumpTo(s_years);
        // A herald is not too old for its first packet either.
        idle.SendRest(s_other);
        idle.Finish();
        clock.JumpTo(TimeSpan.FromHours(-1));
        client.SendRest(s_dump);
        client.Finish();
        await Eventually.Holds(() => collector.Dumps.Count == 2 && collector.Dumps.All(ended => ended.Manifest.Script is not null), "both dumps' scripts ran");

        foreach (var (sender, sent) in ((WireClient, TestDump)[])[(client, s_dump), (idle, s_other)])
        {
            var ended = Assert.Single(collector.Dumps, found => found.Manifest.Client == sender.Address.ToString());
            Assert.Equal(DumpStatus.Complete, ended.Manifest.Status);
            Assert.Equal(sent.Content, File.ReadAllBytes(ended.VmcorePath));
            // In the collector's own time, whatever its clock says.
            Assert.InRange(ended.Manifest.DurationSeconds, 0, 100);
            Assert.InRange(ended.Manifest.Script!.DurationSeconds, 0, 100);
            Assert.False(ended.Manifest.Script.TimedOut);
        }

        // It did see the jumps.
        var times = collector.Dumps.Select(ended => ended.Manifest.EndedAt - DateTimeOffset.UtcNow).Order().ToArray();
        Assert.InRange(times[0], TimeSpan.FromHours(-2), TimeSpan.FromMinutes(-30));
        Assert.InRange(times[1], s_years / 2, s_years * 2);
        Assert.Equal(2, (await Collector.RunAsync("dumps", "list", "--json", "-d", dumps)).Expect(0).Output.Split("\"complete\"").Length - 1);
        await collector.HashedDumpsAsync(2);
        (await Collector.RunAsync("dumps", "verify", "--all", "-d", dumps)).Expect(0);
        await collector.StopAsync();
    }
}
