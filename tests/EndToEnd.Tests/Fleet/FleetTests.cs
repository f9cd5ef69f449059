using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.EndToEnd.Tests.Fleet;

/// <summary>Several collectors on one PostgreSQL.</summary>
[Collection(PostgresTests.Name)]
[UnsupportedOSPlatform("windows")]
public sealed class FleetTests(PostgresFixture postgres) : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [PostgresFact]
    public async Task Three_nodes_that_start_at_once_make_the_tables_once_and_see_each_other()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();

        Node[] nodes = await Task.WhenAll(((string[])["a", "b", "c"]).Select(name => Node.StartAsync(name, cluster, _temp.File(name))));
        try
        {
            foreach (var node in nodes)
                await Node.HoldsAsync(async () => await node.NodesAsync() is { Count: 3 } all && all.Values.All(state => state == "live"), $"{node.Name} sees three live nodes");
            Assert.Equal("3", await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), "select count(*) from netdump.migrations"));
            var migrate = (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0);
            Assert.Contains("nothing to do", migrate.Output, StringComparison.Ordinal);
            var status = (await Collector.RunAsync("db", "status", "--cluster", cluster)).Expect(0);
            Assert.All(nodes, node => Assert.Contains($"{node.Collector.Address}:{node.Collector.Port}", status.Output, StringComparison.Ordinal));
            Assert.DoesNotContain(PostgresServer.Password, migrate.Output + status.Output + string.Join("", nodes.Select(node => node.Collector.Output)), StringComparison.Ordinal);

            await nodes[2].Collector.StopAsync();
            await Node.HoldsAsync(async () => (await nodes[0].NodesAsync())["c"] == "left", "c said that it leaves");
        }
        finally
        {
            foreach (var node in nodes)
                await node.DisposeAsync();
        }
    }

    [PostgresFact]
    public async Task Nodes_that_are_to_share_a_directory_and_do_not_say_so()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        string address = Collector.NewServerAddress();
        await using var a = await StartSharingAsync("a");
        await using var b = await StartSharingAsync("b");

        await a.PrintsAsync($"Node b answers address {address} as well and has another dump directory");
        await b.PrintsAsync($"Node a answers address {address} as well and has another dump directory");
        await a.StopAsync();
        await b.StopAsync();

        // Two ports, so that one machine can be two.
        Task<Collector> StartSharingAsync(string node) =>
            Collector.StartInAsync([$"NETDUMP_CLUSTER={cluster}"], address, Collector.FreePort(), _temp.File(node), "--node", node, "--endpoint", "shared", "--takeover");
    }

    [PostgresFact]
    public async Task Every_node_shows_the_dumps_sessions_and_events_of_all()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        ushort clientPort = Collector.FreePort();
        await using var a = await Node.StartAsync("a", cluster, _temp.File("a"), "--client-port", $"{clientPort}");
        await using var b = await Node.StartAsync("b", cluster, _temp.File("b"));
        await Node.HoldsAsync(async () => (await b.NodesAsync()).Count == 2, "b sees a");
        using var stream = await b.Http.GetStreamAsync("/api/v1/events");
        using var events = new StreamReader(stream);
        Assert.True(Ipv4.TryParse(a.Collector.Address, out var server));
        using var client = new WireClient(Collector.NewClientAddresses(), clientPort, server, a.Collector.Port);
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);

        await Node.HoldsAsync(async () => (await b.GetAsync("/api/v1/sessions")).EnumerateArray().Any(session =>
            session.GetProperty("node").GetString() == "a" && session.GetProperty("client").GetString() == $"{client.Address}" && session.GetProperty("bytes").GetUInt64() > 0), "b shows the session of a");
        var running = (await Collector.RunAsync("sessions", "--cluster", cluster, "--json")).Expect(0);
        Assert.Equal("a", Assert.Single(JsonDocument.Parse(running.Output).RootElement.EnumerateArray()).GetProperty("node").GetString());
        Assert.Equal("receiving", Assert.Single((await b.GetAsync("/api/v1/dumps")).GetProperty("dumps").EnumerateArray()).GetProperty("status").GetString());
        client.SendRest(dump);
        client.Finish();
        await Node.HoldsAsync(async () => (await b.GetAsync("/api/v1/dumps?status=complete")).GetProperty("total").GetInt32() == 1, "b shows the dump of a");

        string id = Assert.Single(a.Collector.Dumps).Manifest.Id;
        var row = Assert.Single((await b.GetAsync("/api/v1/dumps?status=complete&sort=-bytes")).GetProperty("dumps").EnumerateArray());
        Assert.Equal((id, "a"), (row.GetProperty("id").GetString(), row.GetProperty("node").GetString()));
        Assert.Equal(0, (await b.GetAsync("/api/v1/dumps?host=nobody")).GetProperty("total").GetInt32());
        Assert.Equal(id, (await b.GetAsync($"/api/v1/dumps/{id[..^2]}")).GetProperty("id").GetString());
        Assert.Contains(id, (await Collector.RunAsync("dumps", "list", "--cluster", cluster)).Expect(0).Output, StringComparison.Ordinal);
        string told = await EventOfAsync(events, "dump.completed");
        Assert.Equal(("a", id), (JsonDocument.Parse(told).RootElement.GetProperty("node").GetString(), JsonDocument.Parse(told).RootElement.GetProperty("subject").GetString()));
        string page = await b.Http.GetStringAsync("/");
        Assert.Contains("<bdi>a</bdi>", page, StringComparison.Ordinal);
        Assert.Contains(id, page, StringComparison.Ordinal);
        Assert.Contains($"http://{a.Collector.Address}:9464/dumps/{id}", await b.Http.GetStringAsync($"/dumps/{id}"), StringComparison.Ordinal);

        (await Collector.RunAsync("dumps", "rm", "--directory", a.Collector.Directory, id, "--force")).Expect(0);
        await Node.HoldsAsync(async () => (await b.GetAsync("/api/v1/dumps")).GetProperty("total").GetInt32() == 0, "b shows no dump that a command has deleted at a");
    }

    [PostgresFact]
    public async Task The_catalogue_knows_where_a_dump_is_stored_and_whose_part_it_is()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        await using var a = await Node.StartAsync("a", cluster, _temp.File("a"));
        await a.SendAsync();
        var dump = Assert.Single(a.Collector.Dumps);
        ManifestFile.Update(dump.ManifestPath, manifest => manifest with
        {
            Stored = new("s3://bucket/dumps/x/", DateTimeOffset.UnixEpoch, "vmcore", StoreCompression.None, StoreEncryption.None, 1, "00", "tag"),
            Continues = new("20261121T013940Z-00000001", "b", 1),
        });

        await Node.HoldsAsync(async () => await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), $"select url, continues from netdump.dumps where id = '{dump.Manifest.Id}'")
            == "s3://bucket/dumps/x/|20261121T013940Z-00000001", "the row has both");
    }

    [PostgresFact]
    public async Task Who_asks_for_the_file_of_another_nodes_dump_is_sent_there()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        File.WriteAllText(_temp.File("tokens"), $"me admin {Node.Token}\n");
        await using var a = await Node.StartAsync("a", cluster, _temp.File("a"), "--token-file", _temp.File("tokens"));
        await using var b = await Node.StartAsync("b", cluster, _temp.File("b"), "--token-file", _temp.File("tokens"));
        a.Http.DefaultRequestHeaders.Authorization = b.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Node.Token);
        await a.SendAsync();
        string id = Assert.Single(a.Collector.Dumps).Manifest.Id;
        await Node.HoldsAsync(async () => (await b.GetAsync("/api/v1/dumps")).GetProperty("total").GetInt32() == 1, "b shows the dump of a");

        using var sent = await b.Http.GetAsync($"/api/v1/dumps/{id}/vmcore");
        Assert.Equal((HttpStatusCode.TemporaryRedirect, $"http://{a.Collector.Address}:9464/api/v1/dumps/{id}/vmcore", "a"),
            (sent.StatusCode, $"{sent.Headers.Location}", sent.Headers.GetValues("Netdump-Node").Single()));
        using var pinned = await b.Http.PutAsync($"/api/v1/dumps/{id}/pin", null);
        Assert.Equal(HttpStatusCode.TemporaryRedirect, pinned.StatusCode);
        using var file = await a.Http.GetAsync(sent.Headers.Location);
        Assert.Equal(File.ReadAllBytes(a.Collector.Dumps[0].VmcorePath), await file.Content.ReadAsByteArrayAsync());

        await a.Collector.KillAsync();
        await Node.HoldsAsync(async () => (await b.NodesAsync())["a"] == "dead", "a counts as dead");
        using var gone = await b.Http.GetAsync($"/api/v1/dumps/{id}/vmcore");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, gone.StatusCode);
        Assert.Equal("a", JsonDocument.Parse(await gone.Content.ReadAsStringAsync()).RootElement.GetProperty("node").GetString());
    }

    [PostgresFact]
    public async Task A_killed_node_is_dead_and_its_dumps_orphaned_until_it_is_back()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        ushort clientPort = Collector.FreePort();
        string address = Collector.NewServerAddress();
        await using var b = await Node.StartAsync("b", cluster, _temp.File("b"));
        var client = Collector.NewClientAddresses();
        await using (var a = await Node.StartAtAsync(address, "a", cluster, _temp.File("a"), "--client-port", $"{clientPort}"))
        {
            Assert.True(Ipv4.TryParse(address, out var server));
            using var host = new WireClient(client, clientPort, server, a.Collector.Port);
            host.Herald();
            host.SendBurst(new TestDump(300_000));
            await Node.HoldsAsync(async () => (await PhasesAsync(b)).Contains("receiving"), "b shows the session of a");
            await a.Collector.KillAsync();
        }

        await Node.HoldsAsync(async () => (await b.NodesAsync())["a"] == "dead", "a counts as dead");
        Assert.Equal(["orphaned"], await PhasesAsync(b));
        double silence = (await b.GetAsync("/api/v1/nodes")).GetProperty("nodes").EnumerateArray().Single(node => node.GetProperty("name").GetString() == "a").GetProperty("silentSeconds").GetDouble();
        Assert.InRange(silence, 4, 30);

        await using var again = await Node.StartAtAsync(address, "a", cluster, _temp.File("a"), "--client-port", $"{clientPort}");
        await Node.HoldsAsync(async () => (await b.NodesAsync())["a"] == "live" && (await PhasesAsync(b)).SequenceEqual(["receiving"]), "a is back with its dump");
    }

    [PostgresFact]
    public async Task Two_nodes_with_one_name_are_told_of_and_the_first_keeps_it()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        await using var first = await Node.StartAsync("a", cluster, _temp.File("a"));
        await Node.HoldsAsync(async () => (await first.NodesAsync()).Count == 1, "the first is there");
        await using var second = await Node.StartAsync("a", cluster, _temp.File("b"));

        await second.Collector.PrintsAsync("Another live node is called a as well");

        Assert.DoesNotContain("takes what node a tells", second.Collector.Output, StringComparison.Ordinal);
        Assert.Equal(0, await second.MetricAsync("netdump_catalog_up"));
        Assert.Equal(1, await second.MetricAsync("netdump_catalog_name_conflict"));
        Assert.Contains("another live node is called a as well", (await second.GetAsync("/api/v1/nodes")).GetProperty("notice").GetString(), StringComparison.Ordinal);
        Assert.Equal(first.Collector.Address, await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), "select host(address) from netdump.nodes"));
        await second.SendAsync();
        Assert.Single(second.Collector.Dumps);
    }

    [PostgresFact]
    public async Task Panics_are_counted_over_all_nodes()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        await using var a = await Node.StartAsync("a", cluster, _temp.File("a"), "--keep", "auto:2");
        await using var b = await Node.StartAsync("b", cluster, _temp.File("b"), "--keep", "auto:2");
        await a.SendAsync("--panic", "page fault at 0x12345678");
        await b.SendAsync("--panic", "page fault at 0xdeadbeef");
        await Node.HoldsAsync(async () => await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), "select coalesce(sum(dumps), 0) from netdump.panics") == "2", "both are counted");
        await b.LearnsAsync();

        await b.SendAsync("--panic", "page fault at 0xcafebabe");
        await b.SendAsync("--panic", "another bug");

        Assert.Equal([DumpStatus.Complete, DumpStatus.Truncated, DumpStatus.Complete], b.Collector.Dumps.Select(dump => dump.Manifest.Status));
    }

    [PostgresFact]
    public async Task No_more_dumps_run_on_all_nodes_together_than_may()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        ushort clientPort = Collector.FreePort();
        await using var a = await Node.StartAsync("a", cluster, _temp.File("a"), "--client-port", $"{clientPort}");
        await using var b = await Node.StartAsync("b", cluster, _temp.File("b"), "--max-cluster-sessions", "1");
        await b.LearnsAsync();
        await b.SendAsync();
        Assert.True(Ipv4.TryParse(a.Collector.Address, out var server));
        using var host = new WireClient(Collector.NewClientAddresses(), clientPort, server, a.Collector.Port);
        host.Herald();
        host.SendBurst(new TestDump(300_000));
        await Node.HoldsAsync(async () => (await b.GetAsync("/api/v1/nodes")).GetProperty("nodes").EnumerateArray().Any(node => node.GetProperty("receiving").GetInt32() == 1), "b knows of the dump at a");

        using var late = new UdpClient(new IPEndPoint(Collector.NewClientAddresses().ToIPAddress(), 0));
        await late.SendAsync(TestDump.Herald(), b.Collector.Address, b.Collector.Port);

        await Node.HoldsAsync(async () => await b.MetricAsync("netdump_rejected_packets_total{reason=\"too_many_sessions\"}") == 1, "the herald is refused");
    }

    [PostgresFact]
    public async Task A_schema_that_is_too_new_is_left_alone_and_dumps_are_taken()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0);
        await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), "insert into netdump.migrations (version, name, serves_from) values (99, 'of the future', 99)");

        await using var node = await Node.StartAsync("a", cluster, _temp.File("a"));
        await node.Collector.PrintsAsync("version 99, which programs of version");
        await node.SendAsync();

        Assert.Single(node.Collector.Dumps);
        Assert.Equal("ready\n", await node.Http.GetStringAsync("/readyz"));
        Assert.Contains("update netdump-collector", (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(3).Error, StringComparison.Ordinal);
    }

    [PostgresFact]
    public async Task Doctor_tells_whether_the_catalogue_answers_and_fits()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        string database = PostgresServer.DatabaseOf(cluster);
        File.WriteAllText(_temp.File("token"), "0123456789abcdef0123456789abcdef\n");
        File.WriteAllText(_temp.File("cluster"), cluster);

        string empty = await DoctorAsync("--cluster", cluster, "--node-token-file", _temp.File("nowhere"));
        Assert.Matches($"warning +catalogue +Host=.*Database={database};.* answers; it has no tables yet", empty);
        Assert.Contains("netdump-collector db migrate", empty, StringComparison.Ordinal);
        Assert.Matches($"warning +catalogue +node token file {_temp.File("nowhere")}: No such file", empty);

        (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0);
        string good = await DoctorAsync("--cluster-file", _temp.File("cluster"), "--node-token-file", _temp.File("token"));
        Assert.Matches($"ok +catalogue +Host=.*Database={database};.* answers; its schema is version [0-9]+, which fits", good);
        Assert.Matches($"ok +catalogue +node token file {_temp.File("token")}: can be read", good);
        Assert.Matches("ok +synthetic dump", good);

        await postgres.Server.QueryAsync(database, "delete from netdump.migrations where version > 1");
        Assert.Matches("warning +catalogue +.* its schema is version 1, older than this program's", await DoctorAsync("--cluster", cluster));
        await postgres.Server.QueryAsync(database, "insert into netdump.migrations (version, name, serves_from) values (99, 'of the future', 99)");
        Assert.Matches("warning +catalogue +.*version 99, which programs of version", await DoctorAsync("--cluster", cluster));
        Assert.Matches("warning +catalogue +.*password authentication failed", await DoctorAsync("--cluster", postgres.Server.ConnectionTo(database, "another-secret")));

        async Task<string> DoctorAsync(params string[] options)
        {
            var run = await Collector.RunAsync(["doctor", "-a", Collector.NewServerAddress(), "--port", "0", "--http", "off", "-d", _temp.File("dumps"), .. options]);
            Assert.DoesNotContain(PostgresServer.Password, run.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("another-secret", run.Output, StringComparison.Ordinal);
            return run.Expect(0).Output;
        }
    }

    [PostgresFact]
    public async Task What_keeps_the_catalogue_away_is_said_without_the_password()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        await postgres.Server.QueryAsync("postgres", $"alter database {PostgresServer.DatabaseOf(cluster)} set default_transaction_read_only = on");
        string wrong = postgres.Server.ConnectionTo("postgres", "another-secret");
        File.WriteAllText(_temp.File("cluster"), wrong);

        foreach (var (options, words, secret, exitCode) in new (string[], string, string, int)[]
        {
            (["--cluster", cluster], "read-only", PostgresServer.Password, 3),
            (["--cluster-file", _temp.File("cluster")], "password authentication failed", "another-secret", 3),
            (["--cluster", postgres.Server.ConnectionTo("nowhere")], "\"nowhere\" does not exist", PostgresServer.Password, 3),
            (["--cluster", cluster + ";Colour=blue"], "colour", PostgresServer.Password, 2),
        })
        {
            var run = (await Collector.RunAsync(["db", "migrate", .. options])).Expect(exitCode);
            Assert.Contains(words, run.Error, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain(secret, run.Error + run.Output, StringComparison.Ordinal);
        }

        var both = await Collector.RunAsync("db", "status", "--cluster", cluster, "--cluster-file", _temp.File("cluster"));
        Assert.Contains("are both given", both.Expect(2).Error, StringComparison.Ordinal);
        var shown = (await Collector.RunAsync("config", "--cluster", cluster)).Expect(0);
        Assert.DoesNotContain(PostgresServer.Password, shown.Output, StringComparison.Ordinal);
        Assert.Contains("Username=netdump", shown.Output, StringComparison.Ordinal);
    }

    [PostgresFact]
    public async Task Without_a_cluster_the_databases_library_is_not_loaded()
    {
        await using var alone = await Collector.StartAsync(_temp.File("alone"));
        await using var node = await Node.StartAsync("a", await postgres.Server.NewDatabaseAsync(), _temp.File("a"));
        await node.Collector.PrintsAsync("takes what node a tells");
        _ = await alone.HttpAsync();

        Assert.DoesNotContain("Npgsql", File.ReadAllText($"/proc/{alone.ProcessId}/maps"), StringComparison.Ordinal);
        Assert.Contains("Npgsql", File.ReadAllText($"/proc/{NodeProcessOf(node)}/maps"), StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(alone.Directory, ".catalogue.directory")));
    }

    private static int NodeProcessOf(Node node) => node.Collector.ProcessId;

    private static async Task<string[]> PhasesAsync(Node node) => [.. (await node.GetAsync("/api/v1/sessions")).EnumerateArray().Select(session => session.GetProperty("phase").GetString()!)];

    private static async Task<string> EventOfAsync(StreamReader events, string type)
    {
        using var timeUp = new CancellationTokenSource(Eventually.Deadline);
        while (await events.ReadLineAsync(timeUp.Token) is string line)
        {
            if (line == $"event: {type}")
                return (await events.ReadLineAsync(timeUp.Token))!["data: ".Length..];
        }

        throw new EndOfStreamException("the event stream ended");
    }
}
