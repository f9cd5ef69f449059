using System.Globalization;
using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed partial class AccessTests : IDisposable
{
    private static readonly TestDump s_dump = new(300_000);

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    public void Dispose() => _temp.Dispose();

    [NdblastTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_storm_of_spoofed_heralds_stops_no_dump_and_leaves_nothing(string endpoint)
    {
        const int Clients = 24;
        const int Kibibytes = 16_384;
        string script = _temp.File("script");
        File.WriteAllText(script, $"#!/bin/sh\necho ran >>{_temp.File("ran")}\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        string directory = _temp.File("dumps");
        // HTTP would open descriptors while they are counted. A port that is the same after a restart has a file for the heralds that were answered, and the storm is in it too.
        await using var collector = await Collector.StartAtAsync(Collector.NewServerAddress(), Collector.FreePort(), directory, "--endpoint", endpoint, "-i", script, "--http", "off");
        int idleDescriptors = Descriptors(collector);
        var first = Collector.NewClientAddresses();

        using var storm = new HeraldStorm(collector);
        // As many as half-open sessions are kept, and then some: from here on each new herald displaces one.
        await Eventually.Holds(() => storm.Sent > 6000, "the storm is in full swing");
        int stormDescriptors = Descriptors(collector);
        (await Ndblast.RunAsync(collector, first, "-s", $"{Kibibytes}K", "-n", $"{Clients}", "-t", "2")).Expect(0);
        long memoryMebibytes = MemoryMebibytes(collector);
        double rate = storm.Stop();

        Assert.True(rate > 1000, $"{rate:F0} heralds per second are no storm");
        // Loops that look at the same moment may each open one more.
        Assert.InRange(stormDescriptors, idleDescriptors, idleDescriptors + (endpoint == "shared" ? 0 : 1024 + Environment.ProcessorCount));
        Assert.InRange(memoryMebibytes, 1, 512);
        await collector.PrintsAsync("TooManyHalfOpen (");
        Assert.DoesNotContain("TooManySessions", collector.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("TooManyFrom", collector.Output, StringComparison.Ordinal);
        var dumps = await collector.HashedDumpsAsync(Clients);
        Assert.All(dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        Assert.Equal(
            Enumerable.Range(0, Clients).Select(client => Ndblast.HashOf((uint)client, Kibibytes)).Order(StringComparer.Ordinal),
            dumps.Select(dump => dump.Manifest.Sha256!).Order(StringComparer.Ordinal));

        // 30 s after the last herald nothing is left of them, and no dump waits for a repeated FINISHED any more.
        await AfterTheHalfOpenTimeout(() => Descriptors(collector) == idleDescriptors, "the storm's descriptors are closed");
        await Eventually.Holds(() => File.ReadAllLines(_temp.File("ran")).Length == Clients, "the script ran after each dump");
        await collector.StopAsync();
        Assert.Equal(Clients, File.ReadAllLines(_temp.File("ran")).Length);
        Assert.Empty(DumpCatalog.Read(directory).Partials);
        Assert.Equal(Clients, Directory.EnumerateFiles(directory, "vmcore.*").Count(file => !file.EndsWith(".last", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Sources_that_are_not_served_get_silence_and_are_counted()
    {
        var served = Collector.NewClientAddresses();
        var refused = new Ipv4(served.Value + 1);
        await using var collector = await Collector.StartAsync(_temp.Path, "--client-port", $"{_clientPort}",
            "--allow", $"{new Ipv4Network(served, 24)}", "--allow", "192.0.2.0/24,198.51.100.1", "--deny", $"{refused}");
        using var denied = NewClient(collector, refused);
        using var foreign = NewClient(collector, Collector.NewClientAddresses());
        using var client = NewClient(collector, served);

        const int Heralds = 50;
        for (int i = 0; i < Heralds; i++)
        {
            denied.SendHeraldOnce();
            foreign.SendHeraldOnce();
        }

        client.SendDump(s_dump);
        // One line now, of either source, and one after ten seconds, with what was counted until then.
        await collector.PrintsAsync(": NotAllowed (1 so far)");
        int sent = 2 * Heralds;
        await Eventually.Holds(
            () =>
            {
                if (CountsOf(collector, "NotAllowed").Count > 1)
                    return true;
                denied.SendHeraldOnce();
                sent++;
                return false;
            },
            "a second line about it");

        // What was sent while the line was on its way is not in it.
        Assert.InRange(CountsOf(collector, "NotAllowed")[1], (2 * Heralds) + 1, sent);
        Assert.Equal(0, denied.CountAcks(seqno: 1) + foreign.CountAcks(seqno: 1));
        await collector.StopAsync();
        Assert.Equal($"{served}", Assert.Single(collector.Dumps).Manifest.Client);
        Assert.Single(RefusalLine().Matches(collector.Output).Select(match => match.Groups[1].Value).Distinct());
    }

    [Fact]
    public async Task An_address_that_dumps_too_often_is_refused_for_a_while()
    {
        await using var collector = await Collector.StartAsync(_temp.Path, "--client-port", $"{_clientPort}", "--source-rate", "2");
        using var client = NewClient(collector, Collector.NewClientAddresses());
        for (int dump = 0; dump < 2; dump++)
        {
            client.SendDump(s_dump);
            client.Reboot();
        }

        client.SendHeraldOnce();

        await collector.PrintsAsync($"Ignored a packet from {client.Address}: TooManyFromSource (1 so far)");
        Assert.Equal(0, client.CountAcks(seqno: 1));
        using var other = NewClient(collector, Collector.NewClientAddresses());
        other.SendDump(s_dump);
        await collector.StopAsync();
        Assert.Equal(3, collector.Dumps.Count(dump => dump.Manifest.Status == DumpStatus.Complete));
    }

    /// <summary>Sockets and files of dumps that the server has open; what the runtime opens when it pleases is not counted.</summary>
    private static int Descriptors(Collector collector) =>
        Directory.EnumerateFileSystemEntries($"/proc/{collector.ProcessId}/fd").Count(path =>
            LinkOf(path) is string link && (link.StartsWith("socket:", StringComparison.Ordinal) || link.StartsWith($"{collector.Directory}/", StringComparison.Ordinal)));

    private static string? LinkOf(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
            // Closed meanwhile.
            return null;
        }
    }

    private static long MemoryMebibytes(Collector collector)
    {
        string line = File.ReadLines($"/proc/{collector.ProcessId}/status").Single(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }

    private static List<long> CountsOf(Collector collector, string reason) =>
        [.. RefusalLine().Matches(collector.Output).Where(match => match.Groups[1].Value == reason).Select(match => long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture))];

    private static async Task AfterTheHalfOpenTimeout(Func<bool> condition, string what)
    {
        using var timeUp = new CancellationTokenSource(CommandResult.Deadline);
        while (!condition())
        {
            Assert.False(timeUp.IsCancellationRequested, $"not within {CommandResult.Deadline}: {what}");
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        }
    }

    private WireClient NewClient(Collector collector, Ipv4 address)
    {
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        return new(address, _clientPort, server, collector.Port);
    }

    [GeneratedRegex(@"Ignored a packet from [0-9.]+: (\w+) \(([0-9]+) so far\)")]
    private static partial Regex RefusalLine();
}
