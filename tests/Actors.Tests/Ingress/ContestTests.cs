using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Ingress;

/// <summary>A late herald or a new panic on the shared port while the file system of the dump that runs does not answer at once.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class ContestTests
{
    private const int WriteThreads = 8;
    private const int Arrived = 20;

    [Theory, EveryTransport]
    public async Task A_write_that_hangs_while_a_late_herald_waits_keeps_no_other_host_from_being_served(string transport)
    {
        using var gate = new StallingLoop.Gate();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = EndpointMode.Shared, Loops = 1, Decorate = loop => new StallingLoop(loop, gate) });
        var stuck = collector.NewClient();
        var dump = new TestDump(499_712);
        stuck.Herald();
        stuck.SendBurst(dump);
        stuck.SendBurst(dump);
        stuck.SendHeraldOnce();
        stuck.Receive(seqno: 1);

        gate.HoldNext();
        byte[][] burst = stuck.TakeBurst(dump);
        foreach (byte[] packet in burst)
            stuck.Send(packet);
        Assert.True(gate.Holds.Wait(Eventually.Deadline));
        var other = collector.NewClient();
        other.SendDump(dump);
        Assert.Equal(0, collector.Metrics.Rejected(RejectReason.NoSession));

        gate.Open();
        stuck.SendUntilAcked(burst);
        stuck.SendRest(dump);
        stuck.Finish();
        await collector.AssertComplete(other, dump);
        await collector.AssertComplete(stuck, dump);
        Assert.Equal(0, collector.Metrics.Receiving);
    }

    [Fact]
    public async Task The_end_of_the_live_dump_sends_a_late_heralds_session_away_although_it_is_stored_elsewhere()
    {
        await using var collector = await StartAsync();
        var client = collector.NewClient();
        var dump = new TestDump(60_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);
        Assert.Single(collector.FileSystems.Lanes).OnStall();
        client.SendHeraldOnce();
        client.Receive(seqno: 1);
        // No seqno that the live kernel could send now, so it goes to the other session.
        client.Send(dump.Burst(100_000, WellKnown.PageBytes)[0]);
        await Eventually.Holds(() => collector.Metrics.Receiving == 2, "both sessions have data");

        // The header: all data was there before.
        client.SendRest(dump);

        await Eventually.Holds(() => collector.Metrics.Receiving == 1, "the live dump goes on alone");
        client.Finish();
        await collector.AssertComplete(client, dump);
    }

    /// <summary>The session that a late herald opened is discarded although it has acked a key: the kernel was told so before, by the one that has the dump.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("node")]
    public async Task A_late_herald_and_a_late_key_take_nothing_from_the_dump_that_has_the_key(string? node)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = Transports.Default.Name, Mode = EndpointMode.Shared, Node = node });
        var client = collector.NewClient();
        var dump = new TestDump(200_000);
        byte[] key = [.. Enumerable.Range(0, 64).Select(i => (byte)i)];
        client.Herald();
        byte[] message = client.SendKey(key);
        client.SendBurst(dump);
        client.SendBurst(dump);
        client.SendHeraldOnce();
        client.Receive(seqno: 1);
        client.SendUntilAcked([message]);
        Assert.Equal(2, collector.Metrics.Receiving);

        client.SendRest(dump);
        client.Finish();

        AssertKey(await collector.DumpsOf(client, 1), dump, key);
        await Eventually.Holds(() => collector.Metrics.Receiving == 0, "the other session is gone");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("node")]
    public async Task A_new_kernels_key_that_was_acked_before_any_of_its_bytes_is_its_dumps(string? node)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = Transports.Default.Name, Mode = EndpointMode.Shared, Node = node });
        var client = collector.NewClient();
        client.Herald();
        client.SendKey(new byte[64]);
        var older = new TestDump(200_000);
        client.SendBurst(older);
        client.SendBurst(older);
        client.Reboot();

        byte[] key = [.. Enumerable.Range(0, 64).Select(i => (byte)(200 - i))];
        var dump = new TestDump(200_000, seed: 2);
        client.Herald();
        client.SendKey(key);
        client.SendRest(dump);
        client.Finish();

        AssertKey([(await collector.DumpsOf(client, 2)).Single(ended => ended.Manifest.Status == DumpStatus.Complete)], dump, key);
    }

    private static void AssertKey(CatalogedDump[] dumps, TestDump dump, byte[] key)
    {
        var only = Assert.Single(dumps);
        RunningCollector.AssertComplete(only, dump);
        Assert.Equal(key, File.ReadAllBytes(only.KeyPath!));
    }

    [Fact]
    public async Task A_packet_that_only_a_new_kernel_can_have_sent_reaches_its_session_although_the_older_one_stores_elsewhere()
    {
        await using var collector = await StartAsync();
        var client = collector.NewClient();
        var dump = new TestDump(499_712);
        BeginContest(collector, client, dump);

        client.Send(Conflict(dump));

        await Eventually.Holds(() => collector.Metrics.Receiving == 2, "the new kernel's session has it");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_batch_that_waited_shows_of_the_new_kernel_is_told_when_it_was_its_turn(bool withRepeat)
    {
        await using var collector = await StartAsync();
        var client = collector.NewClient();
        var dump = new TestDump(499_712);
        BeginContest(collector, client, dump);
        byte[] repeat = dump.Burst(2, 0)[0];
        using (new HeldThreads(Assert.Single(collector.FileSystems.Lanes).Writers, WriteThreads))
        {
            long packets = collector.Metrics.Packets;
            client.Send(repeat);
            await Eventually.Holds(() => collector.Metrics.Packets == packets + 1, "the repeat is being compared");
            client.Send(Conflict(dump));
            if (withRepeat)
                client.Send(repeat);
            // Not a message, so it is counted at once: what came before it waits now.
            client.Send([]);
            await collector.Rejected(RejectReason.Runt, 1);
        }

        // Both sessions could be sent this one: unless more is known, it is the older one's.
        await Eventually.Holds(
            () =>
            {
                client.Send(repeat);
                return collector.Metrics.Receiving == 2;
            },
            "the new kernel's session is known for one");
    }

    /// <summary>A clock that stands still: a slow file system stays slow.</summary>
    private static Task<RunningCollector> StartAsync() =>
        RunningCollector.StartAsync(new() { Transport = Transports.Default.Name, Mode = EndpointMode.Shared, StorageTime = new ManualTimeProvider() });

    /// <summary>In mid-burst the file system turns slow and another herald comes.</summary>
    private static void BeginContest(RunningCollector collector, WireClient client, TestDump dump)
    {
        client.Herald();
        client.SendBurst(dump);
        Assert.Single(collector.FileSystems.Lanes).OnStall();
        byte[][] half = client.TakeBurst(dump)[..Arrived];
        foreach (byte[] packet in half)
            client.Send(packet);
        // The kernel cannot take the ack of the last one for another's: it comes when the burst has gone quiet, and with it the last save.
        client.Receive(TestDump.SeqnoOf(half[^1]));
        client.SendHeraldOnce();
        client.Receive(seqno: 1);
    }

    /// <summary>A seqno that the older session has stored, at another place of the dump.</summary>
    private static byte[] Conflict(TestDump dump) => dump.Burst(10, 300_000)[0];
}
