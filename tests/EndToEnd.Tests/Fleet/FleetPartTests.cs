using System.Runtime.Versioning;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.EndToEnd.Tests.Fleet;

/// <summary>What the catalogue tells of parts that lie on several nodes.</summary>
[Collection(PostgresTests.Name)]
[UnsupportedOSPlatform("windows")]
public sealed class FleetPartTests(PostgresFixture postgres) : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>The node that began the dump is gone, with its disk; its part was uploaded before that was known to be one.</summary>
    [PostgresFact]
    public async Task A_part_that_only_the_store_has_is_told_of_and_once_it_is_fetched_the_dump_is_whole_and_the_part_says_where()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        Manifest first, second;
        byte[] content;
        await using (var a = await Node.StartAsync("a", cluster, _temp.File("a")))
        {
            await a.SendAsync();
            var whole = Assert.Single(a.Collector.Dumps);
            content = File.ReadAllBytes(whole.VmcorePath);
            ulong half = (ulong)content.Length / 2;
            first = ManifestFile.Update(whole.ManifestPath, m => m with
            {
                Status = DumpStatus.Incomplete,
                Reason = EndReason.ClientTimedOut,
                Bytes = half,
                CoveredBytes = half,
                Kdh = null,
                Stored = new("s3://crashes/first/", m.EndedAt, "vmcore", StoreCompression.None, StoreEncryption.None, (long)half, new string('0', 64), "tag"),
            });
            second = whole.Manifest with
            {
                Id = $"{whole.Manifest.Id}-2",
                Status = DumpStatus.Incomplete,
                CoveredBytes = (ulong)content.Length - half,
                Missing = [new(0, half)],
                MissingBytes = half,
                MissingRanges = 1,
                Sha256 = null,
                HashState = HashState.Pending,
                Continues = new(first.Id, "a", 1),
            };
            await Node.HoldsAsync(async () => await RowsAsync(cluster, "url = 's3://crashes/first/'") == "1", "the catalogue knows that it is stored");
        }

        Directory.CreateDirectory(_temp.File("b"));
        byte[] rest = [.. content];
        rest.AsSpan(0, rest.Length / 2).Clear();
        Write(_temp.File("b"), second, rest);
        await using (var b = await Node.StartAsync("b", cluster, _temp.File("b")))
            await b.Collector.PrintsAsync("netdump-collector dumps fetch s3://crashes/first/ --output DIRECTORY");

        // What that does. A running node finds it as well, by its next look at the directory.
        string fetched = Path.Combine(_temp.File("b"), first.Id);
        Directory.CreateDirectory(fetched);
        Write(fetched, first, content.AsSpan(0, content.Length / 2));
        await using var again = await Node.StartAsync("b", cluster, _temp.File("b"));

        await HoldsAsync(again, second.Id, manifest => manifest is { Status: DumpStatus.Complete, HashState: HashState.Done }, "the dump is whole");
        Assert.Equal(content, File.ReadAllBytes(again.Collector.Dumps.Single(dump => dump.Manifest.Id == second.Id).VmcorePath));
        await HoldsAsync(again, first.Id, manifest => manifest.Within == new DumpWhole(second.Id, "b"), "the part says where it is whole");
        await Node.HoldsAsync(async () => (await Collector.RunAsync("dumps", "list", "--cluster", cluster)).Output.Contains($"incomplete, whole as {second.Id}", StringComparison.Ordinal), "lists say it as well");
        Assert.Contains($"{second.Id}, at node b", (await Collector.RunAsync("dumps", "show", first.Id, "-d", _temp.File("b"))).Expect(0).Output, StringComparison.Ordinal);
    }

    private static Task HoldsAsync(Node node, string id, Func<Manifest, bool> condition, string what) =>
        Node.HoldsAsync(() => Task.FromResult(node.Collector.Dumps.Any(dump => dump.Manifest.Id == id && condition(dump.Manifest))), what, () => Task.FromResult(node.Collector.Output));

    private Task<string> RowsAsync(string cluster, string condition) => postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), $"select count(*) from netdump.dumps where removed_at is null and {condition}");

    private static void Write(string directory, Manifest manifest, ReadOnlySpan<byte> vmcore)
    {
        File.WriteAllBytes(Path.Combine(directory, manifest.Files.Vmcore), vmcore);
        File.WriteAllText(Path.Combine(directory, manifest.Files.Info), "Dump incomplete\n");
        ManifestFile.Write(Path.Combine(directory, $"dump.{manifest.Host}.{manifest.Index}.json"), manifest);
    }
}
