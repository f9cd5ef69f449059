using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Dumps to a directory on which a file system is mounted that is slow, or hangs as with a dead disk.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class SlowFileSystemTests : IDisposable
{
    private const string SlowDirectory = "sub";

    // No burst of a dump elsewhere waits for the device that hangs; packets sent again would take a second.
    private const double LongestBurstUs = 1_000_000;

    private readonly TempDirectory _temp = new();

    private string Dumps => _temp.File("dumps");

    public void Dispose() => _temp.Dispose();

    [FuseTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_file_system_that_hangs_holds_up_no_dump_on_another_and_loses_none_of_its_own(string endpoint)
    {
        const int StuckKib = 4096, RunningKib = 32768, LateKib = 4096;
        // One loop, so that the dumps share the thread that the hanging call holds up.
        await using var collector = await Collector.StartAsync(Dumps, "--endpoint", endpoint, "--loops", "1");
        await using var slow = await MountAsync();
        var clients = Enumerable.Range(0, 3).Select(_ => Collector.NewClientAddresses()).ToArray();

        // Paced, so that both are in mid-dump when the file system hangs; the stuck one gives up only long after the test.
        var running = Ndblast.RunAsync(collector, clients[0], "-s", Kib(RunningKib), "--kernel-pacing", "--poll-us", "2000");
        var stuck = Ndblast.RunAsync(collector, clients[1], "-s", Kib(StuckKib), "--kernel-pacing", "--poll-us", "20000", "--path", SlowDirectory, "--rounds", "100");
        try
        {
            await Eventually.Holds(() => SizeOfPartial(slow.Device) > 512 * 1024, "the dump on the slow file system is in full swing");
            slow.Hang();
            await collector.PrintsAsync($"{Dumps}/{SlowDirectory} is slow: ");
            Assert.False(running.IsCompleted, "the other dump ended before the file system hung");

            AssertSwift(await running);
            AssertSwift(await Ndblast.RunAsync(collector, clients[2], "-s", Kib(LateKib)));
            Assert.False(stuck.IsCompleted, "the dump on the file system that hangs ended");
        }
        finally
        {
            // Also when the test fails, both can end now, and none is left behind.
            slow.Free();
            await Task.WhenAll(running, stuck);
        }

        (await stuck).Expect(0);
        await AssertIdentical(collector, (clients[0], RunningKib), (clients[1], StuckKib), (clients[2], LateKib));
        await collector.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task While_the_dump_directory_hangs_HTTP_answers_all_who_ask_and_the_end_of_the_process_waits_for_none_of_them(string endpoint)
    {
        await using var slow = await SlowFileSystem.MountAsync(_temp.File("device"), Dumps);
        await using var collector = await Collector.StartAsync(Dumps, "--endpoint", endpoint, "--loops", "1");
        using var http = new HttpClient { BaseAddress = await collector.HttpAsync(), Timeout = CommandResult.Deadline };
        var stuck = Ndblast.RunAsync(collector, Collector.NewClientAddresses(), "-s", "64M", "--kernel-pacing", "--poll-us", "5000", "--rounds", "4");
        Task[] pending = [];
        try
        {
            await Eventually.Holds(() => SizeOfPartial(slow.Device) > 512 * 1024, "the dump is in full swing");
            slow.Hang();
            await collector.PrintsAsync($"{Dumps} is slow: ");

            // All at once, and as many as it takes connections of.
            var answers = Enumerable.Range(0, 8).SelectMany(_ => (string[])["/metrics", "/api/v1/sessions", "/healthz"]).Select(path => http.GetStringAsync(path)).ToArray();
            foreach (string answer in await Task.WhenAll(answers))
                Assert.NotEmpty(answer);
            Assert.Contains("netdump_sessions{phase=\"receiving\"} 1\n", await http.GetStringAsync("/metrics"), StringComparison.Ordinal);
            using var ready = await http.GetAsync("/readyz");
            Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, ready.StatusCode);

            // Asked when the end begins, and not waited for.
            pending = Enumerable.Range(0, 8).Select(Task (_) => http.GetAsync("/readyz")).ToArray();
            long terminated = Stopwatch.GetTimestamp();
            collector.Terminate();
            // The process itself goes when its thread comes back from the device; HTTP is closed last before.
            await Eventually.Holds(() => !Answers(http.BaseAddress!), "HTTP is closed");
            // Well below the 10 s that a commit might take, of which there is none.
            Assert.InRange(Stopwatch.GetElapsedTime(terminated).TotalSeconds, 0, 8);
        }
        finally
        {
            slow.Free();
        }

        await collector.EndsAsync();
        // Their connections end with the process, whose thread had to come back first.
        await Task.WhenAll(pending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await stuck;
    }

    private static bool Answers(Uri http)
    {
        try
        {
            using var connection = new TcpClient(http.Host, http.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    [FuseTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_dump_on_a_slow_file_system_completes_and_the_log_says_that_it_is_slow(string endpoint)
    {
        const int SizeKib = 2048;
        await using var collector = await Collector.StartAsync(Dumps, "--endpoint", endpoint, "--log-format", "json");
        await using var slow = await MountAsync("--write-delay-ms", "15");
        var client = Collector.NewClientAddresses();

        (await Ndblast.RunAsync(collector, client, "-s", Kib(SizeKib), "--path", SlowDirectory)).Expect(0);

        await collector.PrintsAsync("\"EventId\":1016,");
        string line = Assert.Single(collector.Lines, line => line.Contains("\"EventId\":1016,", StringComparison.Ordinal));
        Assert.Contains($"The file system of {Dumps}/{SlowDirectory} is slow: ", line, StringComparison.Ordinal);
        await AssertIdentical(collector, (client, SizeKib));
        await collector.StopAsync();
    }

    private static string Kib(int size) => string.Create(CultureInfo.InvariantCulture, $"{size}K");

    private static long SizeOfPartial(string directory) =>
        new DirectoryInfo(directory).EnumerateFiles("partial.*").Where(file => file.Extension != ".ledger").Select(file => file.Length).FirstOrDefault();

    private static void AssertSwift(CommandResult result)
    {
        using var summary = JsonDocument.Parse(result.Expect(0).Output);
        Assert.InRange(summary.RootElement.GetProperty("ack_max_us").GetDouble(), 0, LongestBurstUs);
    }

    private static async Task AssertIdentical(Collector collector, params (Ipv4 Client, int Kib)[] sent)
    {
        var dumps = await collector.HashedDumpsAsync(sent.Length);
        foreach (var (client, kib) in sent)
        {
            var manifest = Assert.Single(dumps, dump => dump.Manifest.Client == client.ToString()).Manifest;
            Assert.Equal(DumpStatus.Complete, manifest.Status);
            Assert.Equal(Ndblast.HashOf(0, kib), manifest.Sha256);
        }
    }

    private Task<SlowFileSystem> MountAsync(params string[] options) =>
        SlowFileSystem.MountAsync(_temp.File("device"), Path.Combine(Dumps, SlowDirectory), options);
}
