using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class NdblastTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [NdblastTheory]
    [InlineData("ephemeral", 1, 65536)]
    [InlineData("shared", 1, 65536)]
    [InlineData("ephemeral", 64, 2048)]
    [InlineData("shared", 64, 2048)]
    [InlineData("ephemeral", 1000, 256)]
    [InlineData("shared", 1000, 256)]
    public Task Every_dump_of_many_clients_is_complete_and_identical(string endpoint, int clients, int kibibytes) =>
        AssertAllIdentical(clients, kibibytes, ["--endpoint", endpoint], "-n", Text(clients));

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public Task So_it_is_with_several_event_loops(string endpoint) =>
        AssertAllIdentical(64, 2048, ["--endpoint", endpoint, "--loops", "3"], "-n", "64");

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public Task A_thousand_heralds_at_once_lose_no_dump_on_several_event_loops(string endpoint) =>
        AssertAllIdentical(1000, 128, ["--endpoint", endpoint, "--loops", "2"], "-n", "1000");

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public Task So_it_is_on_portable_sockets(string endpoint) =>
        AssertAllIdentical(16, 1024, ["--endpoint", endpoint, "--transport", "portable"], "-n", "16");

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public Task No_packet_is_lost_for_good_although_the_clients_ack_bitmap_wraps_and_the_network_loses(string endpoint) =>
        AssertAllIdentical(4, 768, ["--endpoint", endpoint], "-n", "4", "--alias32", "-d", "0.01");

    [NdblastTheory]
    [InlineData(1024)]
    [InlineData(1408)]
    [InlineData(8948)]
    [InlineData(65000)]
    public Task Packets_may_have_any_size(int payload) =>
        AssertAllIdentical(2, 2048, [], "-n", "2", "-p", Text(payload), "--alias32");

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public Task A_burst_may_come_as_one_segmented_send(string endpoint) =>
        AssertAllIdentical(8, 2048, ["--endpoint", endpoint], "-n", "8", "--gso");

    /// <summary>So few that fifteen dumps can run. More clients than that wait for each other, and a server that is killed finds no more than it can continue.</summary>
    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task Few_descriptors_cost_no_dump_also_when_the_server_is_killed(string endpoint)
    {
        const int Limit = 428, MostRunning = 15, Clients = 60;
        var first = Collector.NewClientAddresses();
        string address = Collector.NewServerAddress();
        int port = Collector.FreePort();
        string[] serve = ["--endpoint", endpoint, "--hash", "off"];
        Task<CommandResult> clients;
        await using (var killed = await Collector.StartWithDescriptorsAsync(Limit, address, port, _temp.Path, serve))
        {
            clients = Ndblast.RunAsync(killed, first, "-n", Text(Clients), "-s", "2M", "--kernel-pacing", "--poll-us", "2000");
            await Eventually.Holds(() => Partials() >= MostRunning / 2, "dumps run");
            Assert.InRange(Partials(), 1, MostRunning);
            await killed.KillAsync();
        }

        await using var next = await Collector.StartWithDescriptorsAsync(Limit, address, port, _temp.Path, serve);
        (await clients).Expect(0);
        Assert.InRange(Partials(), 0, MostRunning);
        Assert.Equal(Clients, next.Dumps.Count);
        Assert.All(next.Dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        Assert.DoesNotContain("Too many open files", next.Output, StringComparison.Ordinal);
        await next.StopAsync();

        int Partials() => Directory.GetFiles(_temp.Path, "partial.*").Count(name => !name.EndsWith(".ledger", StringComparison.Ordinal));
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private async Task AssertAllIdentical(int clients, int kibibytes, string[] serve, params string[] ndblast)
    {
        await using var collector = await Collector.StartAsync(_temp.Path, serve);
        var first = Collector.NewClientAddresses();

        (await Ndblast.RunAsync(collector, first, ["-s", $"{kibibytes}K", .. ndblast])).Expect(0);

        var dumps = await collector.HashedDumpsAsync(clients);
        foreach (var dump in dumps)
        {
            Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
            Assert.Equal(Ndblast.HashOf(NumberOf(dump, first), kibibytes), dump.Manifest.Sha256);
        }

        Assert.Equal(clients, dumps.Select(dump => NumberOf(dump, first)).Distinct().Count());
        foreach (var dump in dumps.Take(3))
            (await Ndblast.VerifyAsync(dump.VmcorePath, NumberOf(dump, first), kibibytes)).Expect(0);
        await collector.StopAsync();
        Assert.Empty(DumpCatalog.Read(_temp.Path).Partials);
    }

    private static uint NumberOf(CatalogedDump dump, Ipv4 first)
    {
        Assert.True(Ipv4.TryParse(dump.Manifest.Client, out var client));
        return client.Value - first.Value;
    }
}
