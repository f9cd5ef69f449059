using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>What the built program deletes by itself, and what it does when its file system is almost full.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class RetentionTests : IDisposable
{
    private const int FillerBytes = 3 << 20;

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task A_server_deletes_what_its_policy_does_not_keep_after_each_dump_and_says_why()
    {
        string dumps = _temp.File("dumps");
        await using (var first = await StartAsync(dumps))
        {
            using var client = NewClient(first);
            SendDumps(first, client, 3);
            (await Collector.RunAsync("dumps", "pin", "panicked.0", "-d", dumps)).Expect(0);
            await first.StopAsync();
            ForgetClients(dumps);
        }

        await using var collector = await StartAsync(dumps, "--retain-count", "1");
        await collector.PrintsAsync("Deleted vmcore.panicked.1 (");
        Assert.Equal([0, 2], collector.Dumps.Select(dump => dump.Manifest.Index));
        using (var client = NewClient(collector))
            SendDumps(collector, client, 1);
        await collector.PrintsAsync("Deleted vmcore.panicked.2 (");

        Assert.Contains("panicked has 1 newer ones and 1 are kept", collector.Output, StringComparison.Ordinal);
        Assert.Equal([0, 3], collector.Dumps.Select(dump => dump.Manifest.Index));
        Assert.Equal("vmcore.panicked.3", new FileInfo(Path.Join(dumps, "vmcore.panicked.last")).LinkTarget);
        await collector.StopAsync();
    }

    [TinyFileSystemFact]
    public async Task Below_min_free_nothing_is_acked_until_there_is_room_and_then_the_dump_goes_on()
    {
        using var tiny = new TinyFileSystem("size=4m");
        string filler = Path.Join(tiny.Path, "filler");
        File.WriteAllBytes(filler, new byte[FillerBytes]);
        await using (var collector = await StartAsync(tiny.Path, "--min-free", "50%", "--when-full", "refuse"))
        {
            using var client = NewClient(collector);
            var dump = new TestDump(300_000);
            client.Herald();
            int acked = client.Acks.Count;
            byte[][] burst = client.TakeBurst(dump);
            foreach (byte[] packet in burst)
                client.Send(packet);
            await collector.PrintsAsync("(--min-free 50%)");
            while (client.TryReceive(TimeSpan.Zero) is not null)
            {
            }

            Assert.Equal(acked, client.Acks.Count);
            Assert.Empty(Directory.GetFiles(tiny.Path, "partial.*"));

            File.Delete(filler);
            client.SendUntilAcked(burst);
            client.SendRest(dump);
            client.Finish();
            Assert.Equal(DumpStatus.Complete, Assert.Single(collector.Dumps).Manifest.Status);
            await collector.StopAsync();
        }
    }

    [TinyFileSystemTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task Below_min_free_a_dump_is_acked_to_its_end_and_its_head_is_kept_as_long_as_it_is_below(string endpoint)
    {
        const int HeadBytes = 1 << 20;
        using var tiny = new TinyFileSystem("size=16m");
        string filler = Path.Join(tiny.Path, "filler");
        File.WriteAllBytes(filler, new byte[FillerBytes]);
        await using (var collector = await StartAsync(tiny.Path, "--min-free", "90%", "--endpoint", endpoint))
        {
            using var client = NewClient(collector);
            var dump = new TestDump(3_000_000);
            client.SendDump(dump);

            var head = Assert.Single(collector.Dumps);
            Assert.Equal((DumpStatus.Truncated, "min-free"), (head.Manifest.Status, head.Manifest.TruncatedBy));
            Assert.Equal(dump.Content[..HeadBytes], File.ReadAllBytes(head.VmcorePath));
            Assert.Equal((ulong)(dump.Content.Length - HeadBytes), head.Manifest.MissingBytes);
            Assert.Contains($"Only the first bytes of the dump of client {client.Address} are kept: ", collector.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("Completed dump", collector.Output, StringComparison.Ordinal);
            Assert.Contains("truncated", (await Collector.RunAsync("dumps", "list", "-d", tiny.Path)).Expect(0).Output, StringComparison.Ordinal);

            File.Delete(filler);
            File.Delete(head.VmcorePath);
            client.Reboot();
            client.SendDump(dump);
            Assert.Equal(DumpStatus.Complete, collector.Dumps[1].Manifest.Status);
            Assert.Equal(dump.Content, File.ReadAllBytes(collector.Dumps[1].VmcorePath));
            await collector.StopAsync();
        }
    }

    [TinyFileSystemFact]
    public async Task A_file_system_that_is_almost_full_refuses_only_the_dumps_that_would_lie_on_it()
    {
        string dumps = _temp.File("dumps");
        Directory.CreateDirectory(dumps);
        using var tiny = new TinyFileSystem("size=1m", Directory.CreateDirectory(Path.Join(dumps, "lab")).FullName);
        await using (var collector = await StartAsync(dumps, "--min-free", "2M", "--when-full", "refuse"))
        {
            using var refused = NewClient(collector);
            refused.Herald("lab");
            foreach (byte[] packet in refused.TakeBurst(new(300_000)))
                refused.Send(packet);
            await collector.PrintsAsync($"free on the file system of {dumps}/lab, and 2.0 MiB (2097152 bytes) have to be (--min-free 2M)");

            using var taken = NewClient(collector);
            taken.SendDump(new(300_000));
            Assert.Equal(taken.Address.ToString(), Assert.Single(collector.Dumps).Manifest.Client);
            await collector.StopAsync();
        }
    }

    [TinyFileSystemFact]
    public async Task Where_that_is_wanted_the_oldest_dumps_that_may_go_make_room_for_a_new_one()
    {
        using var tiny = new TinyFileSystem("size=4m");
        await using (var first = await StartAsync(tiny.Path))
        {
            using var client = NewClient(first);
            SendDumps(first, client, 3, bytes: 900_000);
            await first.StopAsync();
            ForgetClients(tiny.Path);
        }

        await using (var collector = await StartAsync(tiny.Path, "--min-free", "2M", "--when-full", "delete"))
        {
            using var client = NewClient(collector);
            SendDumps(collector, client, 1);

            await collector.PrintsAsync("Deleted vmcore.panicked.0 (");
            Assert.Equal([1, 2, 3], collector.Dumps.Select(dump => dump.Manifest.Index));
            Assert.All(collector.Dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
            await collector.StopAsync();
        }
    }

    [TinyFileSystemFact]
    public async Task Room_is_made_as_well_where_nothing_at_all_is_free()
    {
        using var tiny = new TinyFileSystem("size=4m");
        await using (var first = await StartAsync(tiny.Path))
        {
            using var client = NewClient(first);
            SendDumps(first, client, 3, bytes: 900_000);
            await first.StopAsync();
            ForgetClients(tiny.Path);
        }

        await using (var collector = await StartAsync(tiny.Path, "--min-free", "512K", "--when-full", "delete"))
        {
            Fill(tiny.Path);
            using var client = NewClient(collector);
            SendDumps(collector, client, 1);

            await collector.PrintsAsync("Deleted vmcore.panicked.0 (");
            Assert.Equal([1, 2, 3], collector.Dumps.Select(dump => dump.Manifest.Index));
            await collector.StopAsync();
        }
    }

    [TinyFileSystemFact]
    public async Task Less_room_never_stores_more_a_dump_whose_directory_is_full_to_the_last_byte_is_cut_where_it_lands_instead()
    {
        string dumps = _temp.File("dumps");
        Directory.CreateDirectory(dumps);
        using var tiny = new TinyFileSystem("size=1m", Directory.CreateDirectory(Path.Join(dumps, "lab")).FullName);
        await using (var collector = await StartAsync(dumps, "--min-free", "256K", "--when-full", "headers"))
        {
            Fill(tiny.Path);
            using var client = NewClient(collector);
            var sent = new TestDump(2_000_000);
            client.Herald("lab");
            client.SendRest(sent);
            client.Finish();

            var dump = Assert.Single(collector.Dumps);
            Assert.Equal(("min-free", dumps), (dump.Manifest.TruncatedBy, Path.GetDirectoryName(dump.ManifestPath)));
            await collector.StopAsync();
        }
    }

    private static void Fill(string directory)
    {
        using var filler = new FileStream(Path.Join(directory, "filler"), FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        var page = new byte[4096];
        try
        {
            while (true)
                filler.Write(page);
        }
        catch (IOException)
        {
            // Full.
        }
    }

    /// <summary>As if so much time had passed that none may still wait for an answer.</summary>
    private static void ForgetClients(string directory)
    {
        foreach (string ledger in Directory.GetFiles(directory, "*.ledger"))
            File.Delete(ledger);
    }

    private static void SendDumps(Collector collector, WireClient client, int count, int bytes = 300_000)
    {
        for (int i = 0; i < count; i++)
        {
            client.SendDump(new(bytes, seed: i + 1));
            client.Reboot();
        }

        Assert.NotEmpty(collector.Dumps);
    }

    private Task<Collector> StartAsync(string directory, params string[] arguments)
    {
        File.WriteAllText(_temp.File("hosts"), "127.0.0.0/8 panicked\n");
        return Collector.StartAsync(directory, [.. arguments, "--hosts", _temp.File("hosts"), "--client-port", $"{_clientPort}"]);
    }

    private WireClient NewClient(Collector collector) =>
        new(Collector.NewClientAddresses(), _clientPort, Parse(collector.Address), collector.Port);

    private static Ipv4 Parse(string address) => Ipv4.TryParse(address, out var parsed) ? parsed : throw new FormatException(address);
}

/// <summary>A fact that needs to mount a tmpfs; skipped, with the reason, where none can be mounted.</summary>
internal sealed class TinyFileSystemFactAttribute : FactAttribute
{
    public TinyFileSystemFactAttribute()
    {
        if (!TinyFileSystem.IsAvailable)
            Skip = "needs to mount a tmpfs, which takes root";
    }
}
