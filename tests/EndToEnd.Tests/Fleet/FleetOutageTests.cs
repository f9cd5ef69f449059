using System.Diagnostics;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests.Fleet;

/// <summary>The catalogue goes away, and no dump notices.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class FleetOutageTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [PostgresFact]
    public async Task A_database_that_is_killed_in_mid_dump_is_told_of_everything_when_it_is_back()
    {
        await using var postgres = await PostgresServer.StartAsync();
        string cluster = await postgres.NewDatabaseAsync();
        ushort clientPort = Collector.FreePort();
        string address = Collector.NewServerAddress();
        string deleted, early;
        await using (var node = await Node.StartAtAsync(address, "a", cluster, _temp.File("a"), "--client-port", $"{clientPort}"))
        {
            await node.SendAsync("--client-port", $"{clientPort}");
            early = node.Collector.Dumps[0].Manifest.Id;
            await Node.HoldsAsync(async () => await RowsAsync(postgres, cluster) == early, "the first dump is in the catalogue");
            Assert.True(Ipv4.TryParse(address, out var server));
            using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, node.Collector.Port);
            var dump = new TestDump(300_000);
            client.Herald();
            client.SendBurst(dump);

            await postgres.KillAsync();
            client.SendRest(dump);
            client.Finish();
            await node.SendAsync("--client-port", $"{clientPort}");

            Assert.All(node.Collector.Dumps, ended => Assert.Equal(DumpStatus.Complete, ended.Manifest.Status));
            Assert.Equal(3, node.Collector.Dumps.Count);
            await Node.HoldsAsync(async () => await node.MetricAsync("netdump_catalog_up") == 0 && await node.MetricAsync("netdump_catalog_outbox_length") >= 2, "the outbox keeps both");
            Assert.Equal("ready\n", await node.Http.GetStringAsync("/readyz"));
            var page = await node.GetAsync("/api/v1/dumps");
            Assert.Equal(3, page.GetProperty("total").GetInt32());
            Assert.Contains("this node only", page.GetProperty("notice").GetString(), StringComparison.Ordinal);
            Assert.Contains("This node only.", await node.Http.GetStringAsync("/"), StringComparison.Ordinal);
            deleted = early;
            (await Collector.RunAsync("dumps", "rm", "--directory", node.Collector.Directory, deleted, "--force")).Expect(0);
            await Node.HoldsAsync(async () => await node.MetricAsync("netdump_catalog_outbox_length") >= 3, "and the deletion");
            await node.Collector.KillAsync();
        }

        await using var again = await Node.StartAtAsync(address, "a", cluster, _temp.File("a"), "--client-port", $"{clientPort}");
        Assert.True(await again.MetricAsync("netdump_catalog_outbox_length") >= 0);
        await postgres.RestartAsync();

        string[] left = [.. again.Collector.Dumps.Select(dump => dump.Manifest.Id).Order(StringComparer.Ordinal)];
        await Node.HoldsAsync(async () => await RowsAsync(postgres, cluster) == string.Join('\n', left), "the catalogue has what the directory has",
            async () => $"{string.Join('\n', left)}\n{await RowsAsync(postgres, cluster)}\n{again.Collector.Output}");
        await Node.HoldsAsync(async () => await again.MetricAsync("netdump_catalog_outbox_length") == 0 && await again.MetricAsync("netdump_catalog_up") == 1, "nothing waits");
        Assert.Equal(deleted, await postgres.QueryAsync(PostgresServer.DatabaseOf(cluster), "select id from netdump.dumps where removed_at is not null"));
        Assert.Equal("", (await again.GetAsync("/api/v1/dumps")).GetProperty("notice").GetString() ?? "");
    }

    [PostgresFact]
    public async Task A_database_that_hangs_delays_neither_dumps_nor_the_end_of_the_server()
    {
        await using var postgres = await PostgresServer.StartAsync();
        string cluster = await postgres.NewDatabaseAsync();
        await using var node = await Node.StartAsync("a", cluster, _temp.File("a"));
        await using var connected = await Node.StartAsync("b", cluster, _temp.File("b"));
        await Node.HoldsAsync(async () => (await node.NodesAsync()).Count == 2, "the nodes are in the catalogue");
        await node.SendAsync();
        await Node.HoldsAsync(async () => await RowsAsync(postgres, cluster) != "", "so is its dump");
        double writes = await node.MetricAsync("netdump_burst_ack_duration_seconds_count");

        await using (await postgres.PauseAsync())
        {
            // It asks the database when it is to end.
            await EndsSoonAsync(connected);
            await node.SendAsync();
            // A kernel repeats after a second; acks that wait for nothing never take that long.
            Assert.Equal(await node.MetricAsync("netdump_burst_ack_duration_seconds_count"), await node.MetricAsync("netdump_burst_ack_duration_seconds_bucket{le=\"1\"}"));
            Assert.True(await node.MetricAsync("netdump_burst_ack_duration_seconds_count") > writes);
            Assert.Equal("ready\n", await node.Http.GetStringAsync("/readyz"));
            await node.Collector.PrintsAsync("no answer within 3 s");
            // Neither of them is connected when it is to end.
            await using var late = await Node.StartAsync("c", cluster, _temp.File("c"));
            await late.SendAsync();
            await EndsSoonAsync(late);
            await EndsSoonAsync(node);
        }
    }

    /// <summary>The half second that it waits for the database, and what the end of a process takes on a busy machine.</summary>
    private static async Task EndsSoonAsync(Node node)
    {
        long start = Stopwatch.GetTimestamp();
        await node.Collector.StopAsync();
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(3));
    }

    private static Task<string> RowsAsync(PostgresServer postgres, string cluster) =>
        postgres.QueryAsync(PostgresServer.DatabaseOf(cluster), "select id from netdump.dumps where removed_at is null order by id collate \"C\"");
}
