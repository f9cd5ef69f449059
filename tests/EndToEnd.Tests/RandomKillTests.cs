using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using Xunit.Abstractions;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>A server that is killed at random moments while many dumps arrive.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class RandomKillTests(ITestOutputHelper output) : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>Kernels of several kinds, long dumps and short ones, so that some are at their herald, header or FINISHED at any time.</summary>
    [NdblastTheory]
    [InlineData(60)]
    public async Task Killed_at_random_moments_it_loses_no_dump_and_no_byte(int atLeastKills)
    {
        output.WriteLine($"seed {KilledCollector.Seed}");
        string[] kernel = ["--kernel-pacing", "--poll-us", "15000", "--alias32"];
        string[][] loads =
        [
            ["-n", "6", "-s", "12M", "--ramp-us", "700000", .. kernel],
            ["-n", "60", "-s", "512K", "--ramp-us", "300000", .. kernel],
            ["-n", "6", "-s", "24M", "-p", "8948", "--ramp-us", "700000", .. kernel],
            ["-n", "20", "-s", "1M", "--ramp-us", "800000", "-d", "0.002", .. kernel],
        ];
        var rigs = from endpoint in (string[])["ephemeral", "shared"]
                   from load in loads.Index()
                   select RunAsync(endpoint, load.Index, load.Item);
        var kills = await Task.WhenAll(rigs);

        output.WriteLine($"{kills.Sum()} kills: {string.Join(' ', kills)}");
        Assert.True(kills.Sum() >= atLeastKills, $"only {kills.Sum()} kills");

        async Task<int> RunAsync(string endpoint, int number, string[] load)
        {
            string directory = _temp.File($"{endpoint}-{number}");
            await using var server = new KilledCollector(directory, "--endpoint", endpoint);
            await server.StartAsync();
            var first = Collector.NewClientAddresses();
            var clients = Ndblast.RunAsync(server.Running, first, ["--seed", Text(KilledCollector.Seed & 0xffff), .. load]);
            await server.KillWhileAsync(clients, new(KilledCollector.Seed + number), loses: load.Contains("-d"));

            string where = $"seed {KilledCollector.Seed}, {endpoint} {string.Join(' ', load)}";
            var result = await clients;
            Assert.True(result.ExitCode == 0, $"{where}\n{result.Output}{result.Error}\n{string.Join("\n-- killed --\n", server.Outputs)}");
            await server.LingersNoMoreAsync();
            int count = int.Parse(load[1], CultureInfo.InvariantCulture);
            int kibibytes = int.Parse(load[3].AsSpan(0, load[3].Length - 1), CultureInfo.InvariantCulture) * (load[3][^1] == 'M' ? 1024 : 1);
            var dumps = await server.Running.HashedDumpsAsync(count);
            foreach (var dump in dumps)
            {
                Assert.True(Ipv4.TryParse(dump.Manifest.Client, out var client));
                Assert.True(dump.Manifest.Status == DumpStatus.Complete, $"{where}: {dump.Manifest}");
                Assert.True(dump.Manifest.Sha256 == Ndblast.HashOf(client.Value - first.Value, kibibytes), $"{where}: {dump.VmcorePath} differs");
            }

            Assert.Equal(count, dumps.Select(dump => dump.Manifest.Client).Distinct().Count());
            Assert.Equal(dumps.Count, DumpCatalog.Read(directory).Dumps.Count);
            Assert.Empty(server.LeftOvers());
            Assert.Empty(DumpCatalog.Read(directory).Problems);
            return server.Kills;
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
