using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Storage;

[UnsupportedOSPlatform("windows")]
public sealed class SlowFileSystemTests
{
    private const int LogSlow = 1016;

    [Theory, EveryEndpoint]
    public async Task A_slow_file_system_is_written_by_threads_of_its_own(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var first = collector.NewClient();
        var dump = new TestDump(999_424);
        first.Herald();
        first.SendBurst(dump);
        Assert.Single(collector.FileSystems.Lanes).OnStall();

        first.SendRest(dump);
        first.Finish();
        var second = collector.NewClient();
        second.SendDump(new TestDump(700_416, seed: 2));

        Assert.False(collector.FileSystems.Lanes[0].IsInline);
        await collector.AssertComplete(first, dump);
        await collector.AssertComplete(second, new TestDump(700_416, seed: 2));
    }

    [Theory, EveryEndpoint]
    public async Task A_write_that_hangs_holds_up_no_other_session_and_is_acked_when_it_is_done(string transport, EndpointMode mode)
    {
        using var gate = new StallingLoop.Gate();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Loops = 1, Decorate = loop => new StallingLoop(loop, gate) });
        var stuck = collector.NewClient();
        var dump = new TestDump(499_712);
        stuck.Herald();
        stuck.SendBurst(dump);
        var other = collector.NewClient();
        var otherDump = new TestDump(499_712, seed: 2);
        other.Herald();
        other.SendBurst(otherDump);

        gate.HoldNext();
        int acked = stuck.Acks.Count;
        byte[][] burst = stuck.TakeBurst(dump);
        foreach (byte[] packet in burst)
            stuck.Send(packet);
        Assert.True(gate.Holds.Wait(Eventually.Deadline));
        other.SendRest(otherDump);
        other.Finish();
        var late = collector.NewClient();
        late.SendDump(dump);
        Assert.Equal(acked, stuck.Acks.Count);
        Assert.Equal(1, collector.Log.Count(LogSlow));

        gate.Open();
        stuck.SendUntilAcked(burst);
        stuck.SendRest(dump);
        stuck.Finish();

        await collector.AssertComplete(stuck, dump);
        await collector.AssertComplete(other, otherDump);
        await collector.AssertComplete(late, dump);
    }

    [Theory, EveryEndpoint]
    public async Task A_file_system_stays_slow_until_the_write_that_hung_has_come_back(string transport, EndpointMode mode)
    {
        var time = new ManualTimeProvider();
        using var gate = new StallingLoop.Gate();
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            Mode = mode,
            Loops = 1,
            StorageTime = time,
            Decorate = loop => new StallingLoop(loop, gate),
        });
        var stuck = collector.NewClient();
        var dump = new TestDump(499_712);
        stuck.Herald();
        stuck.SendBurst(dump);
        gate.HoldNext();
        byte[][] burst = stuck.TakeBurst(dump);
        foreach (byte[] packet in burst)
            stuck.Send(packet);
        Assert.True(gate.Holds.Wait(Eventually.Deadline));

        var other = collector.NewClient();
        other.Herald();
        other.SendBurst(dump);
        time.Advance(TimeSpan.FromSeconds(2));
        other.SendBurst(dump);
        Assert.False(Assert.Single(collector.FileSystems.Lanes).IsInline);

        gate.Open();
        stuck.SendUntilAcked(burst);
        time.Advance(TimeSpan.FromSeconds(2));
        other.SendBurst(dump);
        Assert.True(collector.FileSystems.Lanes[0].IsInline);
    }

    [Theory, EveryEndpoint]
    public async Task A_drain_waits_for_a_write_that_hangs_and_for_the_rest_of_its_dump(string transport, EndpointMode mode)
    {
        using var gate = new StallingLoop.Gate();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Decorate = loop => new StallingLoop(loop, gate) });
        var client = collector.NewClient();
        var dump = new TestDump(299_008);
        client.Herald();
        client.SendBurst(dump);
        gate.HoldNext();
        byte[][] burst = [.. client.TakeBurst(dump)];
        foreach (byte[] packet in burst)
            client.Send(packet);
        Assert.True(gate.Holds.Wait(Eventually.Deadline));

        var drained = collector.DrainAsync();
        gate.Open();
        client.SendUntilAcked(burst);
        client.SendRest(dump);
        client.Finish();
        Assert.True(await drained);
        await collector.AssertComplete(client, dump);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task On_a_slow_file_system_a_new_panic_on_the_shared_port_gets_a_dump_of_its_own(int bursts)
    {
        // A clock that stands still: the file system stays slow.
        await using var collector = await RunningCollector.StartAsync(new() { Transport = Transports.Default.Name, Mode = EndpointMode.Shared, StorageTime = new ManualTimeProvider() });
        var client = collector.NewClient();
        var earlier = new TestDump(499_712);
        client.Herald();
        for (int i = 0; i < bursts; i++)
            client.SendBurst(earlier);
        Assert.Single(collector.FileSystems.Lanes).OnStall();

        client.Reboot();
        var dump = new TestDump(499_712, seed: 2);
        client.SendDump(dump);

        var dumps = await collector.DumpsOf(client, 2);
        Assert.Equal(DumpStatus.Incomplete, dumps[0].Manifest.Status);
        RunningCollector.AssertComplete(dumps[1], dump);
    }

    [Fact]
    public async Task On_a_slow_file_system_a_session_that_a_late_herald_opened_goes_when_the_older_one_advances()
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = Transports.Default.Name, Mode = EndpointMode.Shared, StorageTime = new ManualTimeProvider() });
        var client = collector.NewClient();
        var dump = new TestDump(499_712);
        client.Herald();
        client.SendBurst(dump);
        Assert.Single(collector.FileSystems.Lanes).OnStall();
        client.SendHeraldOnce();
        client.Receive(seqno: 1);

        // No seqno that the live kernel could send now, so it goes to the other session.
        client.Send(dump.Burst(100_000, 65536)[0]);
        await Eventually.Holds(() => collector.Metrics.Receiving == 2, "both sessions have data");
        client.SendBurst(dump);

        await Eventually.Holds(() => collector.Metrics.Receiving == 1, "the older session's burst decides");
        client.SendRest(dump);
        client.Finish();
        await collector.AssertComplete(client, dump);
    }

    [LinuxTheory]
    [InlineData(EndpointMode.Shared)]
    public async Task A_forwarded_write_that_hangs_holds_up_no_other(EndpointMode mode)
    {
        using var gate = new StallingLoop.Gate();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = "linux", Mode = mode, CrossesLoops = true, Decorate = loop => new StallingLoop(loop, gate) });
        var stuck = ClientOfFirstLoop(collector);
        var other = ClientOfFirstLoop(collector);
        var dump = new TestDump(499_712);
        stuck.Herald();
        stuck.SendBurst(dump);
        other.Herald();
        other.SendBurst(dump);

        gate.HoldNext();
        byte[][] burst = stuck.TakeBurst(dump);
        foreach (byte[] packet in burst)
            stuck.Send(packet);
        Assert.True(gate.Holds.Wait(Eventually.Deadline));
        other.SendRest(dump);
        other.Finish();
        await collector.AssertComplete(other, dump);

        gate.Open();
        stuck.SendUntilAcked(burst);
        stuck.SendRest(dump);
        stuck.Finish();
        await collector.AssertComplete(stuck, dump);
    }

    private static WireClient ClientOfFirstLoop(RunningCollector collector)
    {
        while (true)
        {
            var client = collector.NewClient();
            if (SourceShards.ShardOf(client.Address, 2) == 0)
                return client;
        }
    }
}
