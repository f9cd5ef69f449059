using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.EndToEnd.Tests.Fleet;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>Nodes that share a catalogue and a virtual address, and no directory: a dump's parts come together again.</summary>
/// <remarks>With a server of its own, so that it waits for no other tests of the catalogue.</remarks>
[UnsupportedOSPlatform("windows")]
public sealed class StitchedDumpTests(PostgresFixture postgres, ITestOutputHelper output) : IClassFixture<PostgresFixture>, IDisposable
{
    private const int Clients = 4;
    private const int Kibibytes = 16 * 1024;

    /// <summary>A node ends the part of a kernel that it has not heard of for so long, in seconds.</summary>
    private const int TimeoutSeconds = 5;

    /// <summary>What a part takes from the end of its kernel to the end of the stitching.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [StitchingFact]
    public Task Killed_in_mid_dump_its_parts_become_one_also_where_the_one_that_stitches_is_killed() => InLabAsync(async lab =>
    {
        var load = new LabLoad(lab.Lab.NewClients(), Clients, Kibibytes);
        var sending = LabDumps.SendAsync(lab.Lab, load, _temp.File("gaps"), "--poll-us", "10000");
        await lab.ReceivesAsync(lab.A, 3 << 20);
        await lab.KillAsync(lab.A);
        await lab.MoveToAsync(lab.B);

        var sent = await sending;
        // The second node cannot promise what the first one has.
        Assert.True(sent.ExitCode != 0, $"FINISHED was acked: {sent.Output}");
        var parts = lab.B.Dumps;
        Assert.Equal(Clients, parts.Count);
        Assert.All(parts, part => Assert.Equal((DumpStatus.Incomplete, EndReason.Finished, true, "node-a", 1),
            (part.Manifest.Status, part.Manifest.Reason, part.Manifest.Kdh?.Valid, part.Manifest.Continues?.Node, part.Manifest.Continues?.Epoch)));
        Assert.All(parts, part => Assert.True(part.Manifest.MissingBytes is > 0 and < Kibibytes * 1024, $"{part.Manifest}"));

        // So that the stitching can be met in the middle.
        (await lab.Lab.A.Network.RunAsync("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "10mbit", "burst", "64k", "latency", "400ms")).Expect(0);
        await lab.StartAsync(lab.A);
        int met = 0;
        for (int kills = 0; kills < 3; kills++)
        {
            await HoldsAsync(() => lab.B.Dumps.Any(dump => dump.Manifest.Stitching), "a dump is being stitched", lab);
            await Task.Delay(TimeSpan.FromMilliseconds(200 * kills));
            await lab.KillAsync(lab.B);
            var caught = lab.B.Dumps.Where(dump => dump.Manifest.Stitching).ToArray();
            met += caught.Length;
            Assert.All(caught, dump => Assert.Equal((DumpStatus.Incomplete, null, HashState.Pending), (dump.Manifest.Status, dump.Manifest.Sha256, dump.Manifest.HashState)));
            await lab.StartAsync(lab.B);
        }

        Assert.True(met > 0, "no kill came in the middle");
        await lab.BecomeWholeAsync(lab.B, Clients);
        await StitchLab.AssertWholeAsync(lab.B, load);
        Assert.All(lab.A.Dumps, part => Assert.Equal((DumpStatus.Incomplete, EndReason.ClientTimedOut), (part.Manifest.Status, part.Manifest.Reason)));
        var wholes = lab.B.Dumps.ToDictionary(dump => dump.Manifest.Continues!.Id, dump => new DumpWhole(dump.Manifest.Id, "node-b"));
        await HoldsAsync(() => lab.A.Dumps.All(part => part.Manifest.Within == wholes[part.Manifest.Id]), "the parts say where they are whole", lab);
        await Node.HoldsAsync(async () => await lab.QueryAsync("select count(*) from netdump.dumps where continues is not null and status = 'complete' and segments is not null") == $"{Clients}", "the catalogue has whole dumps");
    });

    [StitchingFact]
    public Task Stopped_in_mid_dump_its_kernels_go_on_elsewhere_at_once() => InLabAsync(async lab =>
    {
        var load = new LabLoad(lab.Lab.NewClients(), Clients, Kibibytes);
        var sending = LabDumps.SendAsync(lab.Lab, load, _temp.File("gaps"), "--poll-us", "10000");
        await lab.ReceivesAsync(lab.A, 3 << 20);
        await lab.A.StopAsync();
        await lab.MoveToAsync(lab.B);

        Assert.NotEqual(0, (await sending).ExitCode);
        Assert.Equal(Clients, lab.B.Dumps.Count);
        await lab.StartAsync(lab.A);
        await lab.BecomeWholeAsync(lab.B, Clients);
        await StitchLab.AssertWholeAsync(lab.B, load);
    });

    private async Task InLabAsync(Func<StitchLab, Task> test)
    {
        string cluster = await postgres.Server.NewDatabaseAsync(), database = PostgresServer.DatabaseOf(cluster);
        (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0);
        await using var lab = new StitchLab(await TakeoverLab.CreateAsync(_temp.Path), _temp.Path, postgres.Server, database);
        try
        {
            await lab.StartAsync(lab.A);
            await lab.StartAsync(lab.B);
            await test(lab);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{e.Message}\n{lab.Output}", e);
        }

        output.WriteLine(lab.Output);
    }

    private static async Task HoldsAsync(Func<bool> condition, string what, StitchLab lab)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < s_patience, $"not within {s_patience}: {what}; {string.Join(", ", lab.B.Dumps.Select(dump => $"{dump.Manifest.Id} {dump.Manifest.Status} {dump.Manifest.MissingBytes}"))}");
            await Task.Delay(20);
        }
    }

    /// <summary>Two collectors in a <see cref="TakeoverLab"/>'s networks, each with a directory of its own.</summary>
    private sealed class StitchLab : IAsyncDisposable
    {
        private const string Token = "a-token-of-the-tests-0123456789abcdef";

        private readonly PostgresServer _postgres;
        private readonly string _database;
        private readonly string _tokens;
        private readonly string _token;

        public StitchLab(TakeoverLab lab, string directory, PostgresServer postgres, string database)
        {
            (Lab, _postgres, _database) = (lab, postgres, database);
            A = new("node-a", lab.A, Path.Combine(directory, "dumps-a"));
            B = new("node-b", lab.B, Path.Combine(directory, "dumps-b"));
            File.WriteAllText(_tokens = Path.Combine(directory, "tokens"), $"nodes download {Token}\n");
            File.WriteAllText(_token = Path.Combine(directory, "token"), $"{Token}\n");
        }

        public TakeoverLab Lab { get; }

        /// <summary>What the catalogue says.</summary>
        public Task<string> QueryAsync(string statement) => _postgres.QueryAsync(_database, statement);

        public StitchNode A { get; }

        public StitchNode B { get; }

        public string Output => $"{Lab.Output}\n{A.Output}\n{B.Output}";

        public Task StartAsync(StitchNode node) => node.StartAsync("--endpoint", "shared", "--timeout", TimeoutSeconds.ToString(CultureInfo.InvariantCulture), "--cluster", _postgres.LocalConnectionTo(_database), "--node", node.Name,
            "--http", $"{node.Network.Address}:9464", "--token-file", _tokens, "--node-token-file", _token);

        public async Task KillAsync(StitchNode node)
        {
            await node.KillAsync();
            // A dead machine does not hold an address.
            if (node == A)
                await node.Network.DropAddressAsync();
        }

        public async Task MoveToAsync(StitchNode node)
        {
            if (node == B)
                _ = await Lab.A.Network.RunAsync("ip", "address", "delete", $"{TakeoverLab.VirtualAddress}/32", "dev", "eth0");
            await node.Network.TakeAddressAsync();
        }

        /// <summary>Waits until the catalogue knows of so many bytes of each client.</summary>
        public async Task ReceivesAsync(StitchNode node, long bytes)
        {
            long start = Stopwatch.GetTimestamp();
            while (await QueryAsync($"select count(*) from netdump.sessions where node = '{node.Name}' and bytes >= {bytes}") != $"{Clients}")
            {
                Assert.True(Stopwatch.GetElapsedTime(start) < s_patience, $"{node.Name} has not received {bytes} bytes of each");
                await Task.Delay(20);
            }
        }

        public Task BecomeWholeAsync(StitchNode node, int dumps) =>
            HoldsAsync(() => node.Dumps.Count(dump => dump.Manifest is { Status: DumpStatus.Complete, HashState: not HashState.Pending }) == dumps, $"{dumps} dumps are complete at {node.Name}", this);

        public static async Task AssertWholeAsync(StitchNode node, LabLoad load)
        {
            foreach (var dump in node.Dumps)
            {
                Assert.True(Ipv4.TryParse(dump.Manifest.Client, out var client));
                uint content = client.Value - load.First.Value + (uint)load.FirstContent;
                var verified = await Ndblast.VerifyAsync(dump.VmcorePath, content, load.Kibibytes);
                Assert.True(verified.ExitCode == 0, $"{dump.VmcorePath} differs: {verified.Output}");
                Assert.Equal(Ndblast.HashOf(content, load.Kibibytes), dump.Manifest.Sha256);
                Assert.Equal(["node-a", "node-b"], dump.Manifest.Segments!.Select(segment => segment.Node));
                Assert.Equal((ulong)load.Kibibytes * 1024, dump.Manifest.Segments!.Aggregate(0ul, (sum, segment) => sum + segment.Bytes));
                Assert.True(DumpVerifier.Verify(dump, default).IsGood);
                Assert.Contains("Dump complete", File.ReadAllText(dump.InfoPath), StringComparison.Ordinal);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await A.DisposeAsync();
            await B.DisposeAsync();
            await Lab.DisposeAsync();
        }
    }

    private sealed class StitchNode(string name, LabNode network, string directory) : IAsyncDisposable
    {
        private readonly List<string> _outputs = [];
        private Collector? _server;

        public string Name => name;

        public LabNode Network => network;

        public IReadOnlyList<CatalogedDump> Dumps => DumpCatalog.Read(directory).Dumps;

        public string Output => string.Join($"\n-- {name}, started again --\n", [.. _outputs, $"-- {name} --\n{_server?.Output}"]);

        public async Task StartAsync(params string[] arguments) =>
            _server = await Collector.StartInNetworkAsync(network.Network, name, "0.0.0.0", TakeoverLab.Port, directory, arguments);

        public async Task KillAsync()
        {
            await _server!.KillAsync();
            await ForgetAsync();
        }

        public async Task StopAsync()
        {
            await _server!.StopAsync();
            await ForgetAsync();
        }

        public async ValueTask DisposeAsync()
        {
            if (_server is not null)
                await ForgetAsync();
        }

        private async Task ForgetAsync()
        {
            var ended = _server!;
            _server = null;
            await ended.DisposeAsync();
            _outputs.Add(ended.Output);
        }
    }
}

/// <summary>A fact in a <see cref="TakeoverLab"/> with PostgreSQL; skipped without the rights or, except in CI, the programs for it.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed class StitchingFactAttribute : FactAttribute
{
    public StitchingFactAttribute() => Skip = new TakeoverTheoryAttribute().Skip ?? new PostgresFactAttribute().Skip;
}
