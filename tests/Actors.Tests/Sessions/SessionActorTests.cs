using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Sessions;

[UnsupportedOSPlatform("windows")]
public sealed class SessionActorTests
{
    private const int LogNewDump = 1001;
    private const int LogPathRefused = 1010;

    [Theory, EveryEndpoint]
    public async Task A_whole_dump_lands_byte_for_byte(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(1_000_000);

        client.SendDump(dump);

        // FINISHED is acked, so everything is there and nothing of the running dump is left.
        var cataloged = Assert.Single(collector.Dumps);
        RunningCollector.AssertComplete(cataloged, dump);
        var manifest = cataloged.Manifest;
        Assert.Equal(("panicked", 0L, EndReason.Finished), (manifest.Host, manifest.Index, manifest.Reason));
        Assert.Equal((mode.ToString().ToLowerInvariant(), "panic 1"), (manifest.Endpoint.Mode, manifest.Kdh?.PanicString));
        Assert.Equal(((ulong)dump.Content.Length, 0ul, HashState.Off), (manifest.CoveredBytes, manifest.MissingBytes, manifest.HashState));
        Assert.Equal(
            ["bounds.panicked", "dump.panicked.0.json", "info.panicked.0", "info.panicked.last", "vmcore.panicked.0", "vmcore.panicked.last"],
            Directory.EnumerateFileSystemEntries(collector.Root).Select(Path.GetFileName).Where(name => !name!.EndsWith(".ledger", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        Assert.Equal((1, 0, 0), (collector.Metrics.Complete, collector.Metrics.NotComplete, collector.Metrics.Receiving));
        Assert.Equal(collector.Metrics.PayloadBytes, dump.Content.Length);
        Assert.StartsWith($"New dump from client panicked [{client.Address}] (to {collector.Root}/partial.{client.Address}.", await collector.Log.Line(LogNewDump), StringComparison.Ordinal);
        Assert.Equal(1, collector.Log.Count(LogNewDump));
    }

    [Theory, EveryTransport]
    public async Task What_came_before_a_silence_gets_its_checkpoint(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport });
        var client = collector.NewClient();
        client.Herald();
        client.SendBurst(new TestDump(200_000));

        await Eventually.Holds(() => Checkpoints() > 0, "a checkpoint is in the ledger");

        int Checkpoints() => Directory.EnumerateFiles(collector.Root, "partial.*.ledger").Sum(path => LedgerFile.Read(path).Records.OfType<LedgerRecord.Checkpoint>().Count());
    }

    [Theory, EveryEndpoint]
    public async Task Dumps_of_many_hosts_at_once_do_not_mix(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var dumps = Enumerable.Range(1, 8).Select(seed => (Client: collector.NewClient(), Dump: new TestDump(200_000 + seed, seed))).ToArray();

        foreach (var (client, _) in dumps)
            client.Herald();
        for (int burst = 0; burst < 3; burst++)
        {
            foreach (var (client, dump) in dumps)
                client.SendBurst(dump);
        }

        foreach (var (client, dump) in dumps)
        {
            client.SendRest(dump);
            client.Finish();
        }

        foreach (var (client, dump) in dumps)
            await collector.AssertComplete(client, dump);
    }

    [Theory, EveryEndpoint]
    public async Task Bytes_count_as_acked_when_their_burst_is_whole(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        byte[][] burst = client.TakeBurst(dump);
        foreach (byte[] message in burst[1..])
            client.Send(message);
        await Eventually.Holds(() => collector.Metrics.PayloadBytes == 4096 + 65536 - TestDump.PayloadBytes, "all but one came");
        Assert.Equal(4096, collector.Metrics.AckedBytes);

        client.SendUntilAcked(burst);
        await Eventually.Holds(() => collector.Metrics.AckedBytes == 4096 + 65536, "the burst is acked");

        client.SendRest(dump);
        client.Finish();
        Assert.Equal(dump.Content.Length, collector.Metrics.AckedBytes);
    }

    [Theory, EveryEndpoint]
    public async Task Finished_repeated_within_linger_is_acked_again(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        client.SendDump(new TestDump(100_000));
        byte[] finished = client.TakeFinished();

        for (int i = 0; i < 3; i++)
        {
            client.Send(finished);
            client.Receive(TestDump.SeqnoOf(finished));
        }

        Assert.Single(collector.Dumps);
    }

    [Theory, EveryTransport]
    public async Task The_socket_is_closed_when_the_linger_is_over(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Loops = 1, Sessions = new() { LingerUs = 100_000 } });
        var client = collector.NewClient();
        client.SendDump(new TestDump(100_000));
        await Eventually.Holds(() => collector.OpenSockets() == 1, "only the herald socket is left");
    }

    [Theory, EveryEndpoint]
    public async Task Finished_is_acked_once_the_dump_is_durable_and_not_before(string transport, EndpointMode mode)
    {
        // The commit waits for the host's name.
        var name = new TaskCompletionSource<string?>();
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, LookUp = _ => name.Task.GetAwaiter().GetResult() });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.Herald();
        client.SendRest(dump);
        byte[] finished = client.TakeFinished();

        client.Send(finished);
        await Eventually.Holds(() => collector.Metrics.Receiving == 0, "the dump ended");
        client.Send(finished);
        // Refused after the end, it shows that FINISHED before it has been seen.
        client.Send(TestDump.Message(MessageType.Vmcore, 2, 0, dump.Content.AsSpan(0, 1448)));
        await collector.Rejected(RejectReason.AfterEnd, 1);
        Assert.Equal(0, client.CountAcks(TestDump.SeqnoOf(finished)));
        Assert.Empty(collector.Dumps);

        name.SetResult("late.example.org");
        client.Receive(TestDump.SeqnoOf(finished));
        Assert.Equal("late", Assert.Single(collector.Dumps).Manifest.Host);
        client.Finish();
        await collector.AssertComplete(client, dump);
    }

    [Theory, EveryEndpoint]
    public async Task Finished_of_a_dump_with_a_hole_is_not_acked_and_the_hole_is_told_exactly(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        // Never sent.
        client.TakeBurst(dump);
        ulong from = 4096, to = 4096 + 65536;
        byte[][] rest = [.. client.TakeBurst(dump), .. client.TakeBurst(dump), .. client.TakeBurst(dump), .. client.TakeBurst(dump)];
        foreach (byte[] message in rest)
            client.Send(message);
        client.SendUntilAcked([TestDump.Message(MessageType.Kdh, client.NextSeqno, 0, dump.Header)]);

        byte[] finished = TestDump.Message(MessageType.Finished, client.NextSeqno + 1, 0, []);
        client.Send(finished);
        var manifest = await collector.DumpOf(client);
        client.Send(finished);
        // Behind the second FINISHED: when it is refused, that one has been seen.
        client.Send(rest[0]);
        await Eventually.Holds(() => collector.Metrics.Rejected(RejectReason.AfterEnd) > 0, "the end is past");

        Assert.Equal(0, client.CountAcks(TestDump.SeqnoOf(finished)));
        Assert.Equal((DumpStatus.Incomplete, EndReason.Finished), (manifest.Status, manifest.Reason));
        var hole = manifest.Missing[0];
        Assert.Equal((from, to), (hole.Start, Math.Min(hole.End, to)));
        Assert.Equal((ulong)dump.Content.Length, manifest.CoveredBytes + manifest.MissingBytes);
    }

    [Theory, EveryEndpoint]
    public async Task A_dump_without_a_header_is_acked_and_called_headerless(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(50_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);

        client.Finish();

        var cataloged = Assert.Single(collector.Dumps);
        Assert.Equal(DumpStatus.Headerless, cataloged.Manifest.Status);
        Assert.Equal(dump.Content, File.ReadAllBytes(cataloged.VmcorePath));
    }

    [Theory, EveryEndpoint]
    public async Task A_client_that_falls_silent_leaves_an_incomplete_dump(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Sessions = new() { ClientTimeoutUs = 200_000 } });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);

        var manifest = await collector.DumpOf(client);

        Assert.Equal((DumpStatus.Incomplete, EndReason.ClientTimedOut, 4096ul), (manifest.Status, manifest.Reason, manifest.CoveredBytes));
    }

    [Theory, EveryEndpoint]
    public async Task A_client_that_never_sends_Finished_has_a_complete_dump_all_the_same(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Sessions = new() { SilentAfterHeaderUs = 200_000 } });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.Herald();
        client.SendRest(dump);

        Assert.Equal(EndReason.SilentAfterHeader, (await collector.AssertComplete(client, dump)).Reason);
    }

    [Theory, EveryTransport]
    public async Task Packets_of_another_host_to_a_sessions_port_are_counted_and_harm_nothing(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport });
        var client = collector.NewClient();
        var stranger = collector.NewClient();
        var dump = new TestDump(300_000, seed: 1);
        var forged = new TestDump(300_000, seed: 2);
        client.Herald();
        // Before the file is open, while a burst is expected, and after the end.
        stranger.Send(forged.Burst(2, 0)[0], client.SessionPort);
        await collector.Rejected(RejectReason.ForeignSource, 1);
        client.SendBurst(dump);
        foreach (byte[] packet in forged.Burst(client.NextSeqno, 4096))
            stranger.Send(packet, client.SessionPort);
        stranger.Send(TestDump.Message(MessageType.Finished, client.NextSeqno, 0, []), client.SessionPort);
        client.SendRest(dump);
        client.Finish();
        stranger.Send(TestDump.Message(MessageType.Finished, client.NextSeqno, 0, []), client.SessionPort);

        await collector.AssertComplete(client, dump);
        await collector.Rejected(RejectReason.ForeignSource, 1 + 46 + 2);
        Assert.Null(stranger.TryReceive(TimeSpan.Zero));
        Assert.Single(collector.Dumps);
    }

    [Theory, EveryEndpoint]
    public async Task A_herald_costs_no_file(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        collector.NewClient().Herald("some/path");
        Assert.Empty(Directory.EnumerateFileSystemEntries(collector.Root));
    }

    [Theory, EveryEndpoint]
    public async Task The_heralds_path_is_used_where_it_can_be_and_falls_back_where_not(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        Directory.CreateDirectory(Path.Combine(collector.Root, "lab", "west"));
        var dump = new TestDump(50_000);
        foreach (var (path, expected) in new[] { ("lab/west", "lab/west"), ("../../tmp", ""), ("/tmp", ""), ("nowhere", "") })
        {
            var client = collector.NewClient();
            client.Herald(path);
            client.SendRest(dump);
            client.Finish();

            var cataloged = Assert.Single(await collector.DumpsOf(client, 1));
            RunningCollector.AssertComplete(cataloged, dump);
            Assert.Equal(Path.Combine(collector.Root, expected).TrimEnd('/'), Path.GetDirectoryName(cataloged.VmcorePath));
        }

        Assert.Equal(3, collector.Log.Count(LogPathRefused));
        Assert.Equal(4, collector.Dumps.Count);
    }

    [Theory, EveryEndpoint]
    public async Task A_path_that_comes_in_several_heralds_is_put_together(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        string path = "a/" + new string('b', 200);
        Directory.CreateDirectory(Path.Combine(collector.Root, path));
        var client = collector.NewClient();
        var dump = new TestDump(50_000);

        client.HeraldInPieces(path, pieceBytes: 90);
        client.SendRest(dump);
        client.Finish();

        await collector.AssertComplete(client, dump);
        Assert.Equal(Path.Combine(collector.Root, path), Path.GetDirectoryName(Assert.Single(collector.Dumps).VmcorePath));
    }

    [Theory, EveryEndpoint]
    public async Task A_client_that_waits_for_each_ack_is_served_packet_by_packet(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(10_500);
        client.Herald(seqno: 0);
        // netdump-client: no burst, no retransmission, no header, FINISHED with seqno 0.
        for (int packet = 0; packet < 11; packet++)
        {
            var content = dump.Content.AsSpan(packet * 1000, Math.Min(1000, dump.Content.Length - (packet * 1000)));
            client.Send(TestDump.Message(MessageType.Vmcore, (uint)packet + 1, (ulong)packet * 1000, content));
            client.Receive((uint)packet + 1);
        }

        int before = client.CountAcks(seqno: 0);
        client.Send(TestDump.Message(MessageType.Finished, 0, 0, []));
        client.Receive(seqno: 0);

        Assert.Equal(before + 1, client.CountAcks(seqno: 0));
        var cataloged = Assert.Single(collector.Dumps);
        Assert.Equal(DumpStatus.Headerless, cataloged.Manifest.Status);
        Assert.Equal(dump.Content, File.ReadAllBytes(cataloged.VmcorePath));
    }

    [Theory, EveryEndpoint]
    public async Task A_session_that_throws_ends_its_dump_and_no_other(string transport, EndpointMode mode)
    {
        Ipv4 unlucky = default;
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            Mode = mode,
            Decorate = loop => new FailingAcksLoop(loop, (remote, seqno) => remote == unlucky && seqno >= 51),
        });
        var failing = collector.NewClient();
        var other = collector.NewClient();
        unlucky = failing.Address;
        var dump = new TestDump(300_000);
        foreach (var client in new[] { failing, other })
        {
            client.Herald();
            client.SendBurst(dump);
            client.SendBurst(dump);
        }

        foreach (byte[] packet in failing.TakeBurst(dump))
            failing.Send(packet);
        var manifest = await collector.DumpOf(failing);
        other.SendRest(dump);
        other.Finish();

        Assert.Equal((DumpStatus.Incomplete, EndReason.InternalError, FailingAcksLoop.Failure), (manifest.Status, manifest.Reason, manifest.Error));
        Assert.Equal((ulong)(4096 + (2 * 65536)), manifest.CoveredBytes);
        await collector.AssertComplete(other, dump);
        Assert.Equal(1, collector.Actors.Failures);
        await Eventually.Holds(() => (collector.Metrics.Receiving, collector.Metrics.Complete, collector.Metrics.NotComplete) == (0, 1, 1), "one dump is complete and one is not");

        // The host can start again.
        unlucky = default;
        failing.Reboot();
        failing.SendDump(dump);
        RunningCollector.AssertComplete((await collector.DumpsOf(failing, 2))[1], dump);
    }
}
