using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Tests;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Dumps to a file system that is full, over quota, read-only or broken, from the first moment or later.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class StorageFaultTests : IDisposable
{
    private const string FaultyDirectory = "sub";
    private const string NotStored = "Cannot store the dump of client";
    private const string NotDurable = "could not be made durable: ";
    private const string Slow = " is slow: ";

    private static readonly TestDump s_dump = new(600_000);

    // Between retransmissions.
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(400);

    private readonly TempDirectory _temp = new();
    private readonly ushort _clientPort = Collector.FreePort();

    private string Dumps => _temp.File("dumps");

    private string Faulty => Path.Combine(Dumps, FaultyDirectory);

    public void Dispose() => _temp.Dispose();

    [FuseTheory]
    [InlineData("ephemeral", "ENOSPC", 0)]
    [InlineData("shared", "ENOSPC", 20_000)]
    [InlineData("ephemeral", "EDQUOT", 20_000)]
    [InlineData("shared", "EDQUOT", 0)]
    [InlineData("ephemeral", "EIO", 1000)]
    [InlineData("shared", "EIO", 30_000)]
    public async Task What_cannot_be_written_is_not_acked_and_the_dump_goes_on_when_it_can_be(string endpoint, string error, int bytesLeft)
    {
        await using var files = await CrashFileSystem.MountAsync(Faulty);
        await using var collector = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(collector);
        client.Herald(FaultyDirectory);
        byte[][] first = client.TakeBurst(s_dump), second = client.TakeBurst(s_dump);
        client.SendUntilAcked(first);
        client.SendUntilAcked(second);

        await files.TellAsync($"fail write {error} after {bytesLeft}");
        var bursts = new List<byte[][]> { first, second };
        do
        {
            bursts.Add(client.TakeBurst(s_dump));
            Assert.NotEmpty(bursts[^1]);
        }
        while (IsAcked(collector, NotStored, client, bursts[^1]));

        string partial = Assert.Single(Directory.GetFiles(Faulty, "partial.*"), file => !file.EndsWith(".ledger", StringComparison.Ordinal));
        AssertAckedIsStored(client, bursts.SelectMany(burst => burst), File.ReadAllBytes(partial));

        await files.RecoverAsync();
        client.SendUntilAcked(bursts[^1]);
        await collector.PrintsAsync("can be stored again");
        client.SendRest(s_dump);
        client.Finish();
        AssertWhole(collector.Dumps, client, s_dump);
        await collector.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral", "fail name ENOSPC", "file")]
    [InlineData("shared", "read-only", "file")]
    [InlineData("ephemeral", "fail write ENOSPC", "header")]
    [InlineData("shared", "fail write EDQUOT", "header")]
    [InlineData("ephemeral", "fail write ENOSPC", "end")]
    [InlineData("shared", "fail name ENOSPC", "end")]
    [InlineData("ephemeral", "read-only", "end")]
    public async Task Neither_file_nor_header_nor_end_is_acked_before_there_is_space_for_it(string endpoint, string fault, string step)
    {
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using var collector = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(collector);
        client.Herald();
        byte[][] packets;
        switch (step)
        {
            case "file":
                packets = client.TakeBurst(s_dump);
                break;
            case "header":
                for (int sent = 0; sent < s_dump.Content.Length; sent = s_dump.BurstEnd(sent))
                    client.SendBurst(s_dump);
                packets = [TestDump.Message(MessageType.Kdh, client.NextSeqno, 0, s_dump.Header)];
                break;
            default:
                client.SendRest(s_dump);
                packets = [client.TakeFinished()];
                break;
        }

        await files.TellAsync(fault);
        Assert.False(IsAcked(collector, step == "end" ? NotDurable : NotStored, client, packets));
        Assert.All(packets, packet => Assert.Equal(0, client.CountAcks(TestDump.SeqnoOf(packet))));

        await files.RecoverAsync();
        client.SendUntilAcked(packets);
        if (step == "file")
            client.SendRest(s_dump);
        if (step == "header")
            client.SendUntilAcked([TestDump.Message(MessageType.Finished, client.NextSeqno + 1, 0, [])]);
        if (step == "file")
            client.Finish();
        AssertWhole(collector.Dumps, client, s_dump);
        await collector.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral", 0)]
    [InlineData("shared", 0)]
    [InlineData("ephemeral", 1)]
    [InlineData("ephemeral", 2)]
    [InlineData("shared", 3)]
    [InlineData("ephemeral", 4)]
    [InlineData("shared", 5)]
    [InlineData("ephemeral", 6)]
    public async Task FINISHED_is_acked_only_when_every_fsync_that_the_dump_needs_has_succeeded(string endpoint, int before)
    {
        // Data, ledger, info file, manifest, names, the manifest's name. Only data that may be lost stays so; else the commit begins anew a second later.
        const int FsyncsOfACommit = 6, FsyncOfTheData = 0;
        bool mayAck = before != FsyncOfTheData;
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using var collector = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(collector);
        client.Herald();
        client.SendRest(s_dump);
        byte[] finished = client.TakeFinished();
        await files.TellAsync($"fail fsync EIO after {before} once");

        bool acked = IsAcked(collector, NotDurable, client, [finished]);
        Assert.Equal(before < FsyncsOfACommit, collector.Output.Contains(NotDurable, StringComparison.Ordinal));
        if (mayAck && !acked)
        {
            client.SendUntilAcked([finished]);
            acked = true;
        }

        Assert.Equal(mayAck, acked);
        if (acked)
        {
            AssertWhole(collector.Dumps, client, s_dump);
        }
        else
        {
            Assert.Contains("Input/output error", collector.Output, StringComparison.Ordinal);
            Assert.DoesNotContain("Completed dump", collector.Output, StringComparison.Ordinal);
            AssertWriteErrors(collector.Dumps);
            Assert.DoesNotContain(Directory.GetFiles(Dumps, "info.*"), info => File.ReadAllText(info).Contains("Dump complete", StringComparison.Ordinal));
        }

        await files.CrashAsync(before);
        await collector.KillAsync();
        await files.UpAsync();
        // What was on the device tells no other story.
        var left = DumpCatalog.Read(Dumps).Dumps;
        if (acked)
            AssertWhole(left, client, s_dump);
        else
            AssertWriteErrors(left);
    }

    /// <summary>The dump directory, its ledger and its data have an inode each; then come the info file, the manifest, bounds and two links. The heralds' notes have one as well.</summary>
    [TinyFileSystemTheory]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    public async Task However_few_files_there_can_be_for_a_moment_the_dump_is_whole(int inodes)
    {
        using var tiny = new TinyFileSystem($"size=64m,nr_inodes={inodes},mode=0700");
        await using (var collector = await Collector.StartAsync(tiny.Path, "--client-port", $"{_clientPort}"))
        {
            using var client = NewClient(collector);
            var sends = Task.Run(() => client.SendDump(s_dump));
            await Eventually.Holds(
                () => ((string[])[NotStored, NotDurable, "Completed dump"]).Any(text => collector.Output.Contains(text, StringComparison.Ordinal)), "the dump is stored or not");
            tiny.Remount("nr_inodes=100");
            await sends;

            AssertWhole(collector.Dumps, client, s_dump);
            await collector.PrintsAsync("Completed dump");
            bool allPointToIt = Directory.GetFileSystemEntries(tiny.Path).Count(file => file.EndsWith(".last", StringComparison.Ordinal) || Path.GetFileName(file).StartsWith("bounds.", StringComparison.Ordinal)) == 3;
            Assert.Equal(!allPointToIt, collector.Output.Contains("bounds or a .last link does not lead to it: ", StringComparison.Ordinal));
            Assert.Single(Directory.GetFiles(tiny.Path, "info.*"), info => !info.EndsWith(".last", StringComparison.Ordinal));
            await collector.StopAsync();
        }

        Assert.DoesNotContain(Directory.GetFiles(tiny.Path, "partial.*"), file => !file.EndsWith(".ledger", StringComparison.Ordinal));
    }

    /// <summary>Names change in this order: the data's, the info file's and the manifest's temporary ones, the info file's, bounds, two links, the manifest's.</summary>
    [FuseTheory]
    [InlineData("ephemeral", "ENOSPC", 1, false)]
    [InlineData("shared", "EDQUOT", 2, false)]
    [InlineData("ephemeral", "EROFS", 3, false)]
    [InlineData("shared", "EIO", 4, false)]
    [InlineData("ephemeral", "ENOSPC", 7, false)]
    [InlineData("shared", "EROFS", 1, true)]
    [InlineData("ephemeral", "EIO", 3, true)]
    [InlineData("shared", "ENOSPC", 7, true)]
    public async Task A_commit_that_fails_half_way_is_tried_again_also_by_the_next_process(string endpoint, string error, int before, bool isKilled)
    {
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using var first = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(first);
        client.Herald();
        client.SendRest(s_dump);
        byte[] finished = client.TakeFinished();
        await files.TellAsync($"fail name {error} after {before}");
        Assert.False(IsAcked(first, NotDurable, client, [finished]));
        // The data keeps its final name as long as no name can be changed.
        await Eventually.Holds(() => Occurrences(first.Output, NotDurable) >= 3, "two more attempts to commit");
        Assert.Contains($"({error})", first.Output, StringComparison.Ordinal);
        Assert.Equal(0, client.CountAcks(TestDump.SeqnoOf(finished)));
        Assert.Empty(DumpCatalog.Read(Dumps).Dumps);

        if (isKilled)
            await first.KillAsync();
        await files.RecoverAsync();
        await using var next = isKilled ? await Collector.StartAtAsync(first.Address, first.Port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint) : null;
        client.SendUntilAcked([finished]);

        var collector = next ?? first;
        AssertWhole(collector.Dumps, client, s_dump);
        // The next process begins where bounds says, which may have moved on.
        if (!isKilled)
            Assert.Equal(0, Assert.Single(collector.Dumps).Manifest.Index);
        Assert.Single(Directory.GetFiles(Dumps, "info.*"), info => !info.EndsWith(".last", StringComparison.Ordinal));
        await collector.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral")]
    public async Task What_could_not_be_committed_at_last_is_left_to_the_next_process(string endpoint)
    {
        const int Attempts = 12;
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using var first = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(first);
        client.Herald();
        client.SendRest(s_dump);
        byte[] finished = client.TakeFinished();
        await files.TellAsync("fail name ENOSPC after 1");
        Assert.False(IsAcked(first, NotDurable, client, [finished]));
        await Eventually.Holds(() => Occurrences(first.Output, NotDurable) >= Attempts, "the last attempt");
        await first.StopAsync();
        await files.RecoverAsync();

        await using var next = await Collector.StartAtAsync(first.Address, first.Port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
        client.SendUntilAcked([finished]);
        AssertWhole(next.Dumps, client, s_dump);
        await next.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral", false)]
    [InlineData("shared", false)]
    [InlineData("ephemeral", true)]
    public async Task An_fsync_that_failed_is_not_forgotten_by_the_next_process(string endpoint, bool ledgerFailsAtFirst)
    {
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        string address;
        ushort port;
        WireClient client;
        byte[] finished;
        await using (var first = await StartAsync("--endpoint", endpoint))
        {
            (address, port) = (first.Address, first.Port);
            client = NewClient(first);
            client.Herald();
            client.SendRest(s_dump);
            finished = client.TakeFinished();
            await files.TellAsync("fail fsync EIO");
            if (ledgerFailsAtFirst)
                await files.TellAsync("read-only");
            Assert.False(IsAcked(first, NotDurable, client, [finished]));
            if (ledgerFailsAtFirst)
            {
                await files.RecoverAsync();
                await files.TellAsync("fail fsync EIO");
                // One attempt to commit may have begun before.
                int failures = Occurrences(first.Output, NotDurable);
                await Eventually.Holds(() => Occurrences(first.Output, NotDurable) >= failures + 2, "two more attempts to commit");
            }

            await first.KillAsync();
        }

        await files.RecoverAsync();
        using (client)
        {
            await using var next = await Collector.StartAtAsync(address, port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
            Assert.False(IsAcked(next, NotDurable, client, [finished]));
            AssertWriteErrors(next.Dumps);
            await next.StopAsync();
        }
    }

    [FuseTheory]
    [InlineData("ephemeral", "read-only")]
    [InlineData("shared", "read-only")]
    [InlineData("ephemeral", "hang write")]
    [InlineData("shared", "hang all")]
    [InlineData("ephemeral", "fail fsync EIO")]
    public async Task Dumps_elsewhere_go_on(string endpoint, string fault)
    {
        await using var files = await CrashFileSystem.MountAsync(Faulty);
        await using var collector = await StartAsync("--endpoint", endpoint, "--loops", "1");
        using var stuck = NewClient(collector);
        using var running = NewClient(collector);
        stuck.Herald(FaultyDirectory);
        stuck.SendBurst(s_dump);
        running.Herald();
        running.SendBurst(s_dump);

        await files.TellAsync(fault);
        byte[][] burst = stuck.TakeBurst(s_dump);
        bool canGoOn = fault.Contains("fsync", StringComparison.Ordinal);
        Assert.Equal(canGoOn, IsAcked(collector, fault.StartsWith("hang", StringComparison.Ordinal) ? Slow : NotStored, stuck, burst));
        running.SendRest(s_dump);
        running.Finish();
        using var late = NewClient(collector);
        late.SendDump(s_dump);

        await files.RecoverAsync();
        stuck.SendUntilAcked(burst);
        stuck.SendRest(s_dump);
        stuck.Finish();
        AssertWhole(collector.Dumps, running, s_dump);
        AssertWhole(collector.Dumps, late, s_dump);
        AssertWhole(collector.Dumps, stuck, s_dump);
        await collector.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral", "hang all")]
    [InlineData("shared", "hang all")]
    [InlineData("ephemeral", "hang read")]
    [InlineData("shared", "hang name")]
    public async Task After_a_restart_dumps_elsewhere_go_on_while_one_file_system_hangs_and_those_on_it_when_it_answers(string endpoint, string fault)
    {
        await using var files = await CrashFileSystem.MountAsync(Faulty);
        await using var first = await StartAsync("--endpoint", endpoint);
        using var stuck = NewClient(first);
        using var running = NewClient(first);
        stuck.Herald(FaultyDirectory);
        stuck.SendBurst(s_dump);
        running.Herald();
        running.SendBurst(s_dump);
        await first.KillAsync();

        await files.TellAsync(fault);
        await using var next = await Collector.StartAtAsync(first.Address, first.Port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
        running.SendBurst(s_dump);
        Assert.Contains($"Continuing the dump of client {running.Address} ", next.Output, StringComparison.Ordinal);
        running.SendRest(s_dump);
        running.Finish();
        using var late = NewClient(next);
        late.SendDump(s_dump);

        await files.RecoverAsync();
        stuck.SendRest(s_dump);
        stuck.Finish();
        AssertWhole(next.Dumps, running, s_dump);
        AssertWhole(next.Dumps, late, s_dump);
        AssertWhole(next.Dumps, stuck, s_dump);
        Assert.DoesNotContain("cannot be continued", next.Output, StringComparison.Ordinal);
        await next.StopAsync();
    }

    /// <summary>A process ends only when its last call returns from the device; what others wait for must be free before.</summary>
    [FuseTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task Told_to_stop_while_a_write_hangs_it_frees_its_ports_and_the_dumps_elsewhere_at_once(string endpoint)
    {
        await using var files = await CrashFileSystem.MountAsync(Faulty);
        await using var first = await StartAsync("--endpoint", endpoint);
        using var stuck = NewClient(first);
        using var running = NewClient(first);
        stuck.Herald(FaultyDirectory);
        stuck.SendBurst(s_dump);
        running.Herald();
        running.SendBurst(s_dump);
        await files.TellAsync("hang write");
        byte[][] burst = stuck.TakeBurst(s_dump);
        Assert.False(IsAcked(first, Slow, stuck, burst));

        try
        {
            first.Terminate();
            await Eventually.Holds(() => IsFree(first.Address, first.Port), "the herald port is free");
            await using var next = await StartAgainAsync();
            running.SendRest(s_dump);
            running.Finish();
            Assert.True(File.Exists($"/proc/{first.ProcessId}/status"));
            await next.KillAsync();
        }
        finally
        {
            // A process that hangs in a call ends only now.
            await files.RecoverAsync();
        }

        await first.KillAsync();

        await using var last = await StartAgainAsync();
        stuck.SendUntilAcked(burst);
        stuck.SendRest(s_dump);
        stuck.Finish();
        AssertWhole(last.Dumps, running, s_dump);
        AssertWhole(last.Dumps, stuck, s_dump);
        await last.StopAsync();

        Task<Collector> StartAgainAsync() => Collector.StartAtAsync(first.Address, first.Port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
    }

    [FuseTheory]
    [InlineData("ephemeral", 0)]
    [InlineData("shared", 0)]
    [InlineData("ephemeral", 2)]
    [InlineData("shared", 2)]
    public async Task A_host_that_panics_anew_while_the_file_system_of_its_interrupted_dump_hangs_has_both_dumps(string endpoint, int burstsBefore)
    {
        await using var files = await CrashFileSystem.MountAsync(Faulty);
        await using var first = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(first);
        client.Herald(FaultyDirectory);
        client.SendBurst(s_dump);
        client.SendBurst(s_dump);
        await first.KillAsync();

        await files.TellAsync("hang all");
        await using var next = await Collector.StartAtAsync(first.Address, first.Port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
        var again = new TestDump(500_000, seed: 2);
        client.Reboot();
        client.Herald();
        for (int burst = 0; burst < burstsBefore; burst++)
            client.SendBurst(again);
        await files.RecoverAsync();
        await next.PrintsAsync($"Continuing the dump of client {client.Address} ");
        client.SendRest(again);
        client.Finish();

        await AssertSupersededAsync(next, again);
        await next.StopAsync();
    }

    /// <summary>Both sessions wait for the same packets then, and in shared mode only what is in the ledgers tells them apart.</summary>
    [FuseTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_dump_that_was_superseded_but_not_yet_ended_by_a_killed_server_takes_none_of_its_successors_bytes(string endpoint)
    {
        var again = new TestDump(500_000, seed: 2);
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using var first = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(first);
        client.Herald();
        client.SendBurst(s_dump);
        client.SendBurst(s_dump);
        client.Reboot();
        client.Herald();
        // The first burst supersedes; then the older dump's commit, which takes many calls, is slower than the two writes of a burst.
        await files.TellAsync("delay 150");
        client.SendBurst(again);
        client.SendBurst(again);
        await first.KillAsync();
        Assert.Contains("started a new dump", first.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("Incomplete dump", first.Output, StringComparison.Ordinal);
        await files.RecoverAsync();

        await using var next = await Collector.StartAtAsync(first.Address, first.Port, Dumps, "--client-port", $"{_clientPort}", "--endpoint", endpoint);
        client.SendRest(again);
        client.Finish();

        await AssertSupersededAsync(next, again);
        await next.StopAsync();
    }

    [FuseTheory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task A_dump_for_a_directory_that_became_read_only_lands_in_the_dump_directory(string endpoint)
    {
        await using var files = await CrashFileSystem.MountAsync(Faulty);
        await using var collector = await StartAsync("--endpoint", endpoint);
        await files.TellAsync("read-only");
        using var client = NewClient(collector);
        client.Herald(FaultyDirectory);
        client.SendRest(s_dump);
        client.Finish();

        AssertWhole(collector.Dumps, client, s_dump);
        Assert.Equal(Dumps, Path.GetDirectoryName(Assert.Single(collector.Dumps).VmcorePath));
        await collector.PrintsAsync($"path '{FaultyDirectory}': partial.{client.Address}.");
    }

    [FuseTheory]
    [InlineData("ephemeral", "short-writes 777")]
    [InlineData("shared", "short-writes 1")]
    [InlineData("ephemeral", "delay 3")]
    public async Task Writes_that_take_less_or_longer_lose_nothing(string endpoint, string fault)
    {
        var dump = new TestDump(100_001);
        await using var files = await CrashFileSystem.MountAsync(Dumps);
        await using var collector = await StartAsync("--endpoint", endpoint);
        using var client = NewClient(collector);
        client.Herald();
        await files.TellAsync(fault);
        client.SendRest(dump);
        await files.RecoverAsync();
        client.Finish();
        AssertWhole(collector.Dumps, client, dump);
    }

    /// <summary>Sends the packets, and those not acked again, until all are acked or, for one round more, the server has said that it refuses.</summary>
    /// <returns>All were acked.</returns>
    private static bool IsFree(string address, int port)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Parse(address), port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static bool IsAcked(Collector collector, string refusal, WireClient client, byte[][] packets)
    {
        long start = Stopwatch.GetTimestamp();
        for (bool isRefused = false; ;)
        {
            byte[][] unacked = [.. packets.Where(packet => client.CountAcks(TestDump.SeqnoOf(packet)) == 0)];
            if (unacked.Length == 0 || isRefused)
                return unacked.Length == 0;
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Deadline, $"neither acked nor refused:\n{collector.Output}");
            isRefused = collector.Output.Contains(refusal, StringComparison.Ordinal);
            foreach (byte[] packet in unacked)
                client.Send(packet);
            while (packets.Any(packet => client.Acks.All(ack => ack.Seqno != TestDump.SeqnoOf(packet))) && client.TryReceive(s_patience) is not null)
            {
            }
        }
    }

    private static void AssertAckedIsStored(WireClient client, IEnumerable<byte[]> packets, byte[] stored)
    {
        bool isHeld = false;
        foreach (byte[] packet in packets)
        {
            if (client.CountAcks(TestDump.SeqnoOf(packet)) == 0)
            {
                isHeld = true;
                continue;
            }

            Assert.True(MessageHeader.TryRead(packet, out var header));
            Assert.True(stored.AsSpan((int)Math.Min(header.Offset, (uint)stored.Length)).StartsWith(packet.AsSpan(MessageHeader.SizeBytes)), $"acked and not in the file: offset {header.Offset}");
        }

        Assert.True(isHeld, "everything was acked");
    }

    private static void AssertWhole(IEnumerable<CatalogedDump> dumps, WireClient client, TestDump dump)
    {
        var cataloged = Assert.Single(dumps, found => found.Manifest.Client == client.Address.ToString());
        Assert.Equal(DumpStatus.Complete, cataloged.Manifest.Status);
        Assert.True(dump.Content.AsSpan().SequenceEqual(File.ReadAllBytes(cataloged.VmcorePath)));
    }

    private static void AssertWriteErrors(IEnumerable<CatalogedDump> dumps) =>
        Assert.All(dumps, dump => Assert.Equal((DumpStatus.Incomplete, EndReason.WriteError), (dump.Manifest.Status, dump.Manifest.Reason)));

    private static int Occurrences(string text, string what) => text.Split(what).Length - 1;

    private static async Task AssertSupersededAsync(Collector collector, TestDump successor)
    {
        await Eventually.Holds(() => collector.Dumps.Count == 2, "both dumps ended");
        Assert.Equal((DumpStatus.Incomplete, EndReason.Superseded), (collector.Dumps[0].Manifest.Status, collector.Dumps[0].Manifest.Reason));
        Assert.Equal(s_dump.Content[..(4096 + 65536)], File.ReadAllBytes(collector.Dumps[0].VmcorePath));
        Assert.Equal(DumpStatus.Complete, collector.Dumps[1].Manifest.Status);
        Assert.Equal(successor.Content, File.ReadAllBytes(collector.Dumps[1].VmcorePath));
    }

    private Task<Collector> StartAsync(params string[] arguments) => Collector.StartAsync(Dumps, ["--client-port", $"{_clientPort}", .. arguments]);

    private WireClient NewClient(Collector collector)
    {
        Assert.True(Ipv4.TryParse(collector.Address, out var server));
        return new(Collector.NewClientAddresses(), _clientPort, server, collector.Port);
    }
}
