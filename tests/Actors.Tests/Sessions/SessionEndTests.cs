using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Sessions;

/// <summary>What becomes of a dump's files when its session ends other than by FINISHED.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class SessionEndTests
{
    private const int OpenThreads = 4;
    private const int CheckpointThreads = 4;
    private const int LogLost = 1063;

    [Theory, EveryEndpoint]
    public async Task A_session_that_used_no_packet_leaves_no_file(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Sessions = new() { HalfOpenTimeoutUs = 300_000 } });
        var client = collector.NewClient();
        client.Herald();

        // Its files are made before its offset is looked at.
        client.Send(TestDump.Message(MessageType.Vmcore, 2, 1ul << 50, new byte[1000]));
        await collector.Rejected(RejectReason.OffsetOutOfRange, 1);

        await Eventually.Holds(() => collector.Metrics.Receiving == 0, "the session is over");
        await Eventually.Holds(() => Directory.GetFiles(collector.Root).Length == 0, "no file is left");
        Assert.Equal((0, 0), (collector.Metrics.Complete, collector.Metrics.NotComplete));
        Assert.True(await collector.DrainAsync());
    }

    [Theory, EveryEndpoint]
    public async Task A_dump_that_never_got_files_is_counted_and_told(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Sessions = new() { HalfOpenTimeoutUs = 300_000 } });
        Directory.Delete(collector.Root, recursive: true);
        var client = collector.NewClient();
        client.Herald();
        foreach (byte[] packet in client.TakeBurst(new TestDump(100_000)))
            client.Send(packet);

        Assert.Contains(client.Address.ToString(), await collector.Log.Line(LogLost), StringComparison.Ordinal);
        await Eventually.Holds(() => collector.Metrics.Receiving == 0, "the session is over");
        Assert.Equal((0, 1), (collector.Metrics.Complete, collector.Metrics.NotComplete));
        Assert.True(await collector.DrainAsync());
    }

    [LinuxTheory]
    [InlineData("linux")]
    public async Task A_session_whose_packets_wait_for_its_files_is_not_half_open(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Loops = 1, Sessions = new() { HalfOpenTimeoutUs = 300_000 } });
        using var opening = new HeldThreads(collector.FileSystems.OpenersOf(""), OpenThreads);
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.Herald();
        byte[][] burst = client.TakeBurst(dump);
        foreach (byte[] packet in burst)
            client.Send(packet);
        await Eventually.Holds(() => collector.Metrics.Receiving == 1, "the session has packets");

        // When a later one's time is over, this one's is as well.
        collector.NewClient().Herald();
        Assert.Equal(3, collector.OpenSockets());
        await Eventually.Holds(() => collector.OpenSockets() == 2, "the later one is over");
        opening.Release();

        client.SendUntilAcked(burst);
        client.SendRest(dump);
        client.Finish();
        await collector.AssertComplete(client, dump);
    }

    [Theory, EveryTransport]
    public async Task A_session_that_a_late_herald_opened_leaves_nothing_in_the_directory_that_the_herald_asked_for(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = EndpointMode.Shared });
        string lab = Path.Combine(collector.Root, "lab");
        Directory.CreateDirectory(lab);
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        client.Send(TestDump.Herald("lab"), collector.HeraldPort);
        client.Receive(seqno: 1);

        // No seqno that the live kernel could send now, so it goes to the other session, which makes a file for it.
        client.Send(dump.Burst(100_000, 65536)[0]);
        await Eventually.Holds(() => Directory.GetFiles(lab, "partial.*").Length == 2, "both sessions have files");
        using (new HeldThreads(Assert.Single(collector.FileSystems.Lanes).Checkpointers, CheckpointThreads))
        {
            client.SendBurst(dump);
            await Eventually.Holds(() => collector.Metrics.Receiving == 1, "the live dump goes on alone");
        }

        await Eventually.Holds(() => Directory.GetFiles(lab).Length == 0, "no file is left");
        client.SendRest(dump);
        client.Finish();
        await collector.AssertComplete(client, dump);
        Assert.Equal(0, collector.Actors.Failures);
    }

    [Theory, EveryTransport]
    public async Task A_session_whose_dump_has_ended_cannot_be_discarded_any_more(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = EndpointMode.Shared });
        var client = collector.NewClient();
        var dump = new TestDump(600_000);
        client.Herald();
        for (int i = 0; i < 3; i++)
            client.SendBurst(dump);
        client.SendHeraldOnce();
        client.Receive(seqno: 1);

        // As a kernel sends it that found nothing to dump; the live one is far beyond these seqnos.
        client.SendUntilAcked([TestDump.Message(MessageType.Kdh, 2, 0, dump.Header)]);
        client.Send(TestDump.Message(MessageType.Finished, 3, 0, []));
        await Eventually.Holds(() => collector.Metrics.NotComplete == 1, "the empty dump has ended");
        client.SendRest(dump);
        client.Finish();

        Assert.Equal(2, (await collector.DumpsOf(client, 2)).Length);
        Assert.Equal((1, 1, 0), (collector.Metrics.Complete, collector.Metrics.NotComplete, collector.Metrics.Receiving));
        Assert.True(await collector.DrainAsync());
    }

    [Theory, EveryEndpoint]
    public async Task A_drain_waits_until_the_dump_of_a_session_that_failed_is_durable(string transport, EndpointMode mode)
    {
        var name = new TaskCompletionSource<string?>();
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            Mode = mode,
            LookUp = _ => name.Task.GetAwaiter().GetResult(),
            Decorate = loop => new FailingAcksLoop(loop, (_, seqno) => seqno >= 5),
        });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.Herald();
        client.SendBurst(dump);
        foreach (byte[] packet in client.TakeBurst(dump))
            client.Send(packet);
        await Eventually.Holds(() => collector.Metrics.Receiving == 0, "the session has failed");

        var drained = collector.DrainAsync();
        // Hosts are not answered any more: the drain has begun.
        long seen = collector.Metrics.Heralds;
        collector.NewClient().SendHeraldOnce();
        await Eventually.Holds(() => collector.Metrics.Heralds == seen + 1, "the late herald is seen");
        Assert.False(drained.IsCompleted);
        name.SetResult("late.example.org");

        Assert.True(await drained);
        Assert.Equal((DumpStatus.Incomplete, EndReason.InternalError), (Assert.Single(collector.Dumps).Manifest.Status, collector.Dumps[0].Manifest.Reason));
        // Nobody answers its client, so no later process needs it.
        Assert.Empty(Directory.GetFiles(collector.Root, "partial.*"));
    }

    [Theory, EveryEndpoint]
    public async Task A_session_whose_writer_throws_ends_its_dump_and_no_other(string transport, EndpointMode mode)
    {
        var time = new WritersTime();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, StorageTime = time });
        var failing = collector.NewClient();
        var other = collector.NewClient();
        var dump = new TestDump(300_000);
        foreach (var client in new[] { failing, other })
        {
            client.Herald();
            client.SendBurst(dump);
        }

        Assert.Single(collector.FileSystems.Lanes).OnStall();
        other.SendBurst(dump);
        time.FailNext();
        foreach (byte[] packet in failing.TakeBurst(dump))
            failing.Send(packet);
        var manifest = await collector.DumpOf(failing);
        other.SendRest(dump);
        other.Finish();

        Assert.Equal((DumpStatus.Incomplete, EndReason.InternalError, WritersTime.Failure), (manifest.Status, manifest.Reason, manifest.Error));
        Assert.Equal(4096ul, manifest.CoveredBytes);
        await collector.AssertComplete(other, dump);
        await Eventually.Holds(() => (collector.Metrics.Receiving, collector.Metrics.Complete, collector.Metrics.NotComplete) == (0, 1, 1), "one dump is complete and one is not");
        Assert.True(await collector.DrainAsync());
    }

    /// <summary>A clock that stands still, so that a slow file system stays slow, and fails the writer that asks for it next.</summary>
    private sealed class WritersTime : TimeProvider
    {
        public const string Failure = "no time for you";

        private int _toFail;

        public void FailNext() => Volatile.Write(ref _toFail, 1);

        public override long GetTimestamp() => Interlocked.Exchange(ref _toFail, 0) == 0 ? 0 : throw new InvalidOperationException(Failure);
    }
}
