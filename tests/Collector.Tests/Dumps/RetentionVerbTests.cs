using System.Text.Json;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Tests.Dumps;

public sealed class RetentionVerbTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Rm_deletes_the_dumps_it_is_given_with_all_their_files()
    {
        Write("web", 0, daysOld: 3);
        string id = Write("web", 1, daysOld: 2);
        Write("web", 2, daysOld: 1);

        var run = await RunAsync("rm", "web.0", id);

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains($"Deleted web.1 ({id}, 100 B)\n", run.Output, StringComparison.Ordinal);
        Assert.Equal(["dump.web.2.json", "info.web.2", "vmcore.web.2"], Names());
    }

    [Fact]
    public async Task Rm_refuses_the_newest_complete_and_pinned_ones_and_then_deletes_nothing()
    {
        Write("web", 0, daysOld: 3);
        Write("web", 1, daysOld: 2);
        Write("web", 2, daysOld: 1, DumpStatus.Incomplete);
        await RunAsync("pin", "web.0");
        string[] before = Names();

        var newest = await RunAsync("rm", "web.1", "web.2");
        var pinned = await RunAsync("rm", "web.0", "web.2");
        var missing = await RunAsync("rm", "web.2", "web.7");

        Assert.Equal((1, 1, 1), (newest.ExitCode, pinned.ExitCode, missing.ExitCode));
        Assert.Contains("is the newest complete dump of web; --force deletes it", newest.Error, StringComparison.Ordinal);
        Assert.Contains("is pinned; --force deletes it", pinned.Error, StringComparison.Ordinal);
        Assert.Contains("no dump \"web.7\"", missing.Error, StringComparison.Ordinal);
        Assert.Equal(before, Names());

        Assert.Equal(0, (await RunAsync("rm", "web.0", "web.1", "web.2", "--force")).ExitCode);
        Assert.Empty(Names());
    }

    [Fact]
    public async Task Rm_refuses_a_dump_whose_client_may_still_have_to_be_answered()
    {
        string id = Write("web", 0, daysOld: 3, DumpStatus.Incomplete);
        _temp.Write($"partial.10.0.0.1.{id}.ledger", "");

        Assert.Contains("is in use", (await RunAsync("rm", id)).Error, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("rm", id, "--force")).ExitCode);

        Assert.Empty(Names());
    }

    [Fact]
    public async Task A_dry_run_deletes_nothing()
    {
        Write("web", 0, daysOld: 40);
        Write("web", 1, daysOld: 1);
        string[] before = Names();

        Assert.StartsWith("Would delete web.0 ", (await RunAsync("rm", "web.0", "--dry-run")).Output, StringComparison.Ordinal);
        var prune = await RunAsync("prune", "--retain-age", "30d", "--dry-run");

        Assert.Contains("Would delete web.0 ", prune.Output, StringComparison.Ordinal);
        Assert.Contains(": it started 40 days ago and dumps are kept for 30 days\n", prune.Output, StringComparison.Ordinal);
        Assert.EndsWith("\n1 of 2 dumps, 100 B\n", prune.Output, StringComparison.Ordinal);
        Assert.Equal(before, Names());
    }

    [Fact]
    public async Task Prune_deletes_what_the_policy_does_not_keep_wherever_that_was_given()
    {
        Write("web", 0, daysOld: 40);
        Write("web", 1, daysOld: 35);
        Write("web", 2, daysOld: 34);
        Write("web", 3, daysOld: 1, DumpStatus.Incomplete);
        await RunAsync("pin", "web.1");

        var run = await CommandRun.OfAsync(new Dictionary<string, string> { ["NETDUMP_RETAIN_AGE"] = "30d" }, "dumps", "prune", "-d", _temp.Path);

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.StartsWith("Deleted web.0 ", run.Output, StringComparison.Ordinal);
        Assert.Equal(["dump.web.1.json", "dump.web.2.json", "dump.web.3.json"], Names().Where(name => name.StartsWith("dump.", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Prune_finishes_what_an_interrupted_deletion_left()
    {
        Write("web", 0, daysOld: 3);
        File.Move(_temp.File("dump.web.0.json"), _temp.File("dump.web.0.json.deleted"));

        var run = await RunAsync("prune", "--retain-count", "1");

        Assert.Equal("Finished 1 interrupted deletion\n", run.Output);
        Assert.Empty(Names());
    }

    [Fact]
    public async Task A_pin_shows_and_goes_again()
    {
        Write("web", 0, daysOld: 3);

        Assert.EndsWith(" is now pinned\n", (await RunAsync("pin", "web.0")).Output, StringComparison.Ordinal);
        Assert.EndsWith(" is pinned already\n", (await RunAsync("pin", "web.0")).Output, StringComparison.Ordinal);
        Assert.Contains("complete, pinned", (await RunAsync("list")).Output, StringComparison.Ordinal);
        Assert.Contains("Pinned:       yes", (await RunAsync("show", "web.0")).Output, StringComparison.Ordinal);
        Assert.True(JsonDocument.Parse((await RunAsync("list", "--json")).Output).RootElement[0].GetProperty("pinned").GetBoolean());

        Assert.EndsWith(" is now not pinned\n", (await RunAsync("unpin", "web.0")).Output, StringComparison.Ordinal);
        Assert.DoesNotContain("pinned", (await RunAsync("list")).Output, StringComparison.Ordinal);
        Assert.Equal(1, (await RunAsync("pin", "web.9")).ExitCode);
    }

    [Theory]
    [InlineData("rm")]
    [InlineData("pin")]
    [InlineData("rm", "--no-such-option")]
    [InlineData("prune")]
    [InlineData("prune", "--retain-age", "soon")]
    [InlineData("prune", "web.0", "--retain-count", "1")]
    public async Task Wrong_usage_is_told(params string[] arguments)
    {
        Write("web", 0, daysOld: 3);

        var run = await RunAsync(arguments);

        Assert.Equal(2, run.ExitCode);
        Assert.NotEmpty(run.Error);
        Assert.Equal(3, Names().Length);
    }

    private Task<CommandRun> RunAsync(params string[] arguments) => CommandRun.OfAsync(["dumps", .. arguments, "-d", _temp.Path]);

    private string[] Names() => [.. Directory.GetFileSystemEntries(_temp.Path).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    /// <summary>An ended dump of 100 bytes, as it lies in the directory.</summary>
    private string Write(string host, long index, int daysOld, DumpStatus status = DumpStatus.Complete)
    {
        var startedAt = TimeProvider.System.GetUtcNow().AddDays(-daysOld);
        var manifest = new Manifest
        {
            Id = DumpId.New(startedAt),
            Client = "10.0.0.1",
            Host = host,
            Index = index,
            StartedAt = startedAt,
            EndedAt = startedAt,
            DurationSeconds = 0,
            Status = status,
            Reason = status == DumpStatus.Complete ? EndReason.Finished : EndReason.ClientTimedOut,
            Bytes = 100,
            CoveredBytes = 100,
            Endpoint = new("ephemeral", "127.0.0.1", 20100),
            Packets = 0,
            Retransmissions = 0,
            Bursts = 0,
            QuietBursts = 0,
            Acks = 0,
            Rejected = 0,
            PayloadBytes = 100,
            PacketPayloadBytes = 0,
            Missing = [],
            MissingBytes = 0,
            MissingRanges = 0,
            Damaged = [],
            Overwritten = [],
            Relocated = false,
            HashState = HashState.Off,
            Files = new($"vmcore.{host}.{index}", $"info.{host}.{index}", null),
        };
        File.WriteAllBytes(_temp.File(manifest.Files.Vmcore), new byte[100]);
        _temp.Write(manifest.Files.Info, "");
        ManifestFile.Write(_temp.File($"dump.{host}.{index}.json"), manifest);
        return manifest.Id;
    }
}
