using System.Security.Cryptography;
using System.Text.Json;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Tests.Dumps;

public sealed class DumpsVerbTests : IDisposable
{
    private static readonly DateTimeOffset s_startedAt = new(2026, 11, 21, 1, 39, 40, TimeSpan.Zero);

    private readonly TempDirectory _temp = new();
    private readonly DumpDirectory _directory;

    public DumpsVerbTests() => _directory = DumpDirectory.Open(_temp.Path, null);

    public void Dispose()
    {
        _directory.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public async Task An_empty_directory_has_no_dumps()
    {
        var run = await RunAsync("list");

        Assert.Equal(0, run.ExitCode);
        Assert.Equal($"No dumps in {_temp.Path}.\n", run.Output);
        Assert.Equal("[]\n", (await RunAsync("list", "--json")).Output);
    }

    [Fact]
    public async Task List_shows_ended_running_and_left_over_dumps()
    {
        string id = Commit("web1", "page fault", missingBytes: 0);
        Commit("web2", "", missingBytes: 100);
        using var running = _directory.Create(Identity(3), default, null);
        File.WriteAllBytes(running.PartialPath, new byte[5000]);
        _directory.Create(Identity(4), default, null).Dispose();

        var run = await RunAsync("list");

        Assert.Equal(0, run.ExitCode);
        string[] lines = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(5, lines.Length);
        Assert.Equal(["ID", "HOST", "CLIENT", "STARTED", "SIZE", "STATUS", "PANIC", "FILE"], Cells(lines[0]));
        Assert.Equal([id, "web1", "10.0.0.1", "2026-11-21 01:39:41Z", "8.0 KiB", "complete", "page fault", "vmcore.web1.0"], Cells(lines[1]));
        Assert.Equal(["web2", "incomplete", "-", "vmcore.web2.0"], [Cells(lines[2])[1], .. Cells(lines[2])[5..]]);
        Assert.Equal(["10.0.0.3", "4.9 KiB", "receiving"], [Cells(lines[3])[2], .. Cells(lines[3])[4..6]]);
        Assert.Equal(["10.0.0.4", "0 B", "interrupted"], [Cells(lines[4])[2], .. Cells(lines[4])[4..6]]);
    }

    [Fact]
    public async Task List_as_json_has_one_object_for_each_dump()
    {
        string id = Commit("web1", "page fault", missingBytes: 0);

        var dump = Assert.Single(JsonDocument.Parse((await RunAsync("list", "--json")).Output).RootElement.EnumerateArray());

        Assert.Equal(["id", "host", "client", "startedAt", "bytes", "status", "panic", "file", "pinned", "node"], dump.EnumerateObject().Select(property => property.Name));
        Assert.Equal(id, dump.GetProperty("id").GetString());
        Assert.Equal("2026-11-21T01:39:41Z", dump.GetProperty("startedAt").GetString());
        Assert.Equal(8192, dump.GetProperty("bytes").GetInt64());
        Assert.Equal("page fault", dump.GetProperty("panic").GetString());
    }

    [Fact]
    public async Task A_part_of_another_nodes_dump_says_so()
    {
        string id = Commit("web1", "page fault", missingBytes: 4096);
        ManifestFile.Update(_temp.File("dump.web1.0.json"), manifest => manifest with { Continues = new("20261121T013940Z-00000001", "node-a", 1), Epoch = 2, Segments = [new(2, "node-b", 4096, 1) { Id = id }] });

        Assert.Contains("incomplete, part of 20261121T013940Z-00000001", (await RunAsync("list")).Output, StringComparison.Ordinal);
        var dump = Assert.Single(JsonDocument.Parse((await RunAsync("list", "--json")).Output).RootElement.EnumerateArray());
        Assert.Equal("20261121T013940Z-00000001", dump.GetProperty("continues").GetString());
        string shown = (await RunAsync("show", id)).Output;
        Assert.Contains("20261121T013940Z-00000001, which node node-a had before", shown, StringComparison.Ordinal);
        Assert.Contains($"2, of node node-b: 4096 bytes ({id})", shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Broken_manifests_are_told_and_hide_nothing()
    {
        Commit("web1", "p", missingBytes: 0);
        _temp.Write("dump.web9.0.json", "{");

        var run = await RunAsync("list");

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("vmcore.web1.0", run.Output, StringComparison.Ordinal);
        Assert.Contains("dump.web9.0.json", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_directory_comes_from_environment_and_file_as_for_serve()
    {
        Commit("web1", "p", missingBytes: 0);
        string config = Path.Combine(Path.GetTempPath(), $"netdump-{Guid.NewGuid():n}.json");
        File.WriteAllText(config, JsonSerializer.Serialize(new { directory = _temp.Path }));
        try
        {
            Assert.Contains("web1", (await CommandRun.OfAsync(new Dictionary<string, string> { ["NETDUMP_DIRECTORY"] = _temp.Path }, "dumps", "list")).Output, StringComparison.Ordinal);
            Assert.Contains("web1", (await CommandRun.OfAsync("dumps", "list", "--config", config)).Output, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(config);
        }
    }

    [Fact]
    public async Task A_directory_that_is_not_there_cannot_be_looked_at()
    {
        var run = await CommandRun.OfAsync("dumps", "list", "-d", _temp.File("missing"));

        Assert.Equal(3, run.ExitCode);
        Assert.Contains(_temp.File("missing"), run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Show_finds_a_dump_by_id_by_its_start_and_by_host_and_number()
    {
        string id = Commit("web1", "page fault", missingBytes: 0);
        Commit("web2", "other", missingBytes: 0);

        foreach (string key in new[] { id, "web1.0" })
        {
            var run = await RunAsync("show", key);
            Assert.Equal(0, run.ExitCode);
            Assert.Contains(id, run.Output, StringComparison.Ordinal);
            Assert.Contains("Panic:        page fault\n", run.Output, StringComparison.Ordinal);
            Assert.Contains($"Core file:    {_temp.File("vmcore.web1.0")}\n", run.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Show_as_json_is_the_manifest()
    {
        Commit("web1", "page fault", missingBytes: 0);

        Assert.Equal(File.ReadAllText(_temp.File("dump.web1.0.json")), (await RunAsync("show", "web1.0", "--json")).Output);
    }

    [Fact]
    public async Task Show_lists_missing_ranges()
    {
        Commit("web1", "p", missingBytes: 100);

        Assert.Contains("Missing:      [50, 150), 100 bytes\n", (await RunAsync("show", "web1.0")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_that_means_nothing_or_several_fails_and_says_so()
    {
        Commit("web1", "p", missingBytes: 0);
        Commit("web2", "p", missingBytes: 0);

        var none = await RunAsync("show", "web9.0");
        Assert.Equal(1, none.ExitCode);
        Assert.Contains("no dump \"web9.0\"", none.Error, StringComparison.Ordinal);
        var several = await RunAsync("show", "2026");
        Assert.Equal(1, several.ExitCode);
        Assert.Contains("means 2 dumps", several.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Verify_is_good_for_a_whole_dump_and_wrong_for_a_changed_one()
    {
        Commit("web1", "p", missingBytes: 0);
        var good = await RunAsync("verify", "web1.0");
        Assert.Equal("", good.Error);
        Assert.Equal(0, good.ExitCode);
        Assert.Contains("good", good.Output, StringComparison.Ordinal);

        using (var file = File.OpenWrite(_temp.File("vmcore.web1.0")))
            file.WriteByte(0xff);
        var changed = await RunAsync("verify", "web1.0");
        Assert.Equal(1, changed.ExitCode);
        Assert.Contains("SHA-256", changed.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Verify_all_counts_incomplete_dumps_and_left_overs_as_wrong()
    {
        Commit("web1", "p", missingBytes: 0);
        Assert.Equal(0, (await RunAsync("verify", "--all")).ExitCode);

        using (_directory.Create(Identity(7), default, null))
            Assert.Equal(0, (await RunAsync("verify", "--all")).ExitCode);

        var leftOver = await RunAsync("verify", "--all");
        Assert.Equal(1, leftOver.ExitCode);
        Assert.Contains("interrupted", leftOver.Output, StringComparison.Ordinal);

        Commit("web2", "p", missingBytes: 100);
        var run = await RunAsync("verify", "--all");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("100 bytes missing", run.Output, StringComparison.Ordinal);
        Assert.Contains("  vmcore.web2.0: SHA-256 matches, what is there is what was received\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("2 dumps verified, 1 wrong", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("verify")]
    [InlineData("verify", "web1.0", "--all")]
    [InlineData("show")]
    [InlineData("list", "extra")]
    public async Task Wrong_usage_is_told(params string[] arguments) => Assert.Equal(2, (await RunAsync(arguments)).ExitCode);

    private static DumpIdentity Identity(uint client)
    {
        var startedAt = s_startedAt.AddSeconds(client);
        return new(DumpId.New(startedAt), new(0x0a000000 + client), startedAt);
    }

    private static string[] Cells(string line) => line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private Task<CommandRun> RunAsync(params string[] arguments) => CommandRun.OfAsync(["dumps", .. arguments, "-d", _temp.Path]);

    /// <summary>Ends a dump of 8192 bytes with its hash in the manifest, or with a hole and without header.</summary>
    private string Commit(string host, string panic, ulong missingBytes)
    {
        const ulong Length = 8192;
        byte[] content = new byte[Length];
        new Random(1).NextBytes(content);
        using var file = _directory.Create(Identity((uint)(host[^1] - '0')), default, null);
        File.WriteAllBytes(file.PartialPath, content);
        var committed = _directory.Commit(
            file,
            new()
            {
                Status = missingBytes == 0 ? DumpStatus.Complete : DumpStatus.Incomplete,
                Reason = missingBytes == 0 ? EndReason.Finished : EndReason.ClientTimedOut,
                Header = missingBytes == 0 ? KernelDumpHeader.Read(KernelDumpHeader.Create("amd64", Length, s_startedAt, 0, 512, DumpCompression.None, host, "FreeBSD 14", panic)) : null,
                LengthBytes = Length,
                CoveredBytes = Length - missingBytes,
                Missing = missingBytes == 0 ? [] : [new(50, 50 + missingBytes)],
                MissingBytes = missingBytes,
                MissingRanges = missingBytes == 0 ? 0 : 1,
                Damaged = [],
                Overwritten = [],
                Relocated = false,
                PayloadBytes = 1448,
                Counters = default,
            },
            new()
            {
                Host = host,
                Endpoint = "ephemeral",
                LocalAddress = Ipv4.Loopback,
                LocalPort = 20100,
                EndedAt = s_startedAt.AddSeconds(12),
                Duration = TimeSpan.FromSeconds(12),
            });
        ManifestFile.Update(committed.ManifestPath, manifest => manifest with { Sha256 = Convert.ToHexStringLower(SHA256.HashData(content)), HashState = HashState.Done });
        return committed.Id;
    }
}
