using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.Ingress;

[UnsupportedOSPlatform("windows")]
public sealed class IngressActorTests
{
    private const int LogWriteError = 1011;
    private const int LogServedFromHeraldPort = 1014;
    private const int LogSuperseded = 1015;

    [Theory, EveryEndpoint]
    public async Task A_herald_repeated_before_data_is_answered_again_from_the_same_port(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var first = client.Herald();

        client.SendHeraldOnce();

        Assert.Equal(first, client.Receive(seqno: 1));
        Assert.Equal(mode == EndpointMode.Shared, first.FromPort == collector.HeraldPort);
        var dump = new TestDump(100_000);
        client.SendRest(dump);
        client.Finish();
        await collector.AssertComplete(client, dump);
    }

    [Theory, EveryEndpoint]
    public async Task Answers_from_the_address_the_herald_was_sent_to(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Address = Ipv4.Any });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);

        client.SendDump(dump);

        Assert.All(client.Acks, ack => Assert.Equal(collector.ServerAddress, ack.From));
        Assert.Single(client.Acks.Select(ack => ack.FromPort).Distinct());
        var manifest = await collector.AssertComplete(client, dump);
        Assert.Equal(collector.ServerAddress.ToString(), manifest.Endpoint.Address);
        Assert.Equal(client.SessionPort, manifest.Endpoint.Port);
    }

    [Theory, EveryEndpoint]
    public async Task A_late_duplicate_of_the_herald_does_not_hurt_the_live_dump(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);
        ushort port = client.SessionPort;

        client.SendHeraldOnce();
        var answer = client.Receive(seqno: 1);
        client.SendHeraldOnce();
        Assert.Equal(answer, client.Receive(seqno: 1));
        client.SendRest(dump);
        client.Finish();

        Assert.Equal(mode == EndpointMode.Shared, answer.FromPort == port);
        await collector.AssertComplete(client, dump);
        Assert.Equal(0, collector.Log.Count(LogSuperseded));
        Assert.Equal(0, collector.Metrics.Receiving);
        Assert.Single(collector.Dumps);
    }

    [Theory, EveryEndpoint]
    public async Task A_duplicate_of_the_herald_amid_a_burst_does_not_hurt_the_live_dump(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        byte[][] burst = client.TakeBurst(dump);

        foreach (byte[] packet in burst.Take(20))
            client.Send(packet);
        client.SendHeraldOnce();
        client.SendUntilAcked(burst[20..]);
        client.SendRest(dump);
        client.Finish();

        await collector.AssertComplete(client, dump);
        Assert.Single(collector.Dumps);
        Assert.Equal(0, collector.Metrics.Receiving);
    }

    [Theory, EveryTransport]
    public async Task A_session_that_a_late_herald_opened_leaves_no_trace_although_a_stray_packet_reached_it(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = EndpointMode.Shared });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendHeraldOnce();
        client.Receive(seqno: 1);

        // No seqno that the live kernel could send now, so it goes to the other session, which makes a file for it.
        client.Send(dump.Burst(100_000, 65536)[0]);
        await Eventually.Holds(() => collector.Metrics.Receiving == 2, "both sessions have data");
        client.SendRest(dump);
        client.Finish();

        await collector.AssertComplete(client, dump);
        await Eventually.Holds(() => collector.Metrics.Receiving == 0, "no dump is running");
        await Eventually.Holds(() => Directory.GetFiles(collector.Root, "partial.*").Length == 0, "no file is left");
        Assert.Equal((1, 0), (collector.Metrics.Complete, collector.Metrics.NotComplete));
        Assert.True(await collector.DrainAsync());
    }

    [Theory, EveryEndpoint]
    public async Task A_duplicate_of_the_herald_between_data_and_header_keeps_no_end_from_being_acked(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(60_000);
        client.Herald();
        client.SendBurst(dump);
        client.SendBurst(dump);

        client.SendHeraldOnce();
        client.Receive(seqno: 1);
        client.SendRest(dump);
        client.Finish();
        client.Finish();

        await collector.AssertComplete(client, dump);
        Assert.Single(collector.Dumps);
        Assert.Equal(0, collector.Metrics.Receiving);
    }

    [Theory, EveryEndpoint]
    public async Task A_duplicate_of_the_herald_does_not_hurt_a_live_dump_whose_acks_are_lost(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(300_000);
        client.Herald();
        client.SendBurst(dump);
        byte[][] burst = client.TakeBurst(dump);
        client.SendUntilAcked(burst);
        client.SendHeraldOnce();
        client.Receive(seqno: 1);

        // The kernel did not get the acks and repeats the whole burst, round by round.
        for (int round = 0; round < 3; round++)
        {
            client.SendUntilAcked(burst);
            while (client.TryReceive(TimeSpan.FromMilliseconds(150)) is not null)
            {
            }
        }

        client.SendRest(dump);
        client.Finish();

        await collector.AssertComplete(client, dump);
        Assert.Single(collector.Dumps);
        Assert.Equal(0, collector.Metrics.Receiving);
    }

    [Theory, EveryEndpoint]
    public async Task A_new_panic_in_mid_dump_gets_a_dump_of_its_own(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var old = new TestDump(300_000, seed: 1);
        client.Herald();
        client.SendBurst(old);
        client.SendBurst(old);
        client.SendBurst(old);

        await AssertSuperseded(collector, client, old, storedBytes: 4096 + (2 * 65536));
    }

    [Theory, EveryEndpoint]
    public async Task A_new_panic_whose_seqnos_the_old_dump_could_have_wins_when_the_old_kernel_has_given_up(string transport, EndpointMode mode)
    {
        // After its first burst the old session could still be sent every seqno that the new kernel starts with.
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Sessions = new() { RetryBudgetUs = 1 } });
        var client = collector.NewClient();
        var old = new TestDump(300_000, seed: 1);
        client.Herald();
        client.SendBurst(old);

        await AssertSuperseded(collector, client, old, storedBytes: 4096);
    }

    [Theory, EveryEndpoint]
    public async Task A_new_panic_whose_seqnos_the_old_dump_could_have_wins_by_its_bytes(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var old = new TestDump(300_000, seed: 1);
        client.Herald();
        client.SendBurst(old);

        await AssertSuperseded(collector, client, old, storedBytes: 4096);
    }

    [Theory, EveryEndpoint]
    public async Task A_new_panic_that_begins_with_the_bytes_of_the_old_dump_is_whole(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var old = new TestDump(300_000, seed: 1);
        client.Herald();
        client.SendBurst(old);
        client.SendBurst(old);

        // The same kernel has the same header page.
        await AssertSuperseded(collector, client, old, storedBytes: 4096 + 65536, sameHeaderPage: true);
    }

    [Theory, EveryEndpoint]
    public async Task Datagrams_that_are_no_messages_or_belong_to_nobody_are_counted_by_reason(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        byte[] message = TestDump.Message(MessageType.Vmcore, 2, 0, new byte[100]);

        client.Send([], collector.HeraldPort);
        client.Send(message[..23], collector.HeraldPort);
        client.Send(message[..^1], collector.HeraldPort);
        client.Send([.. message, 0], collector.HeraldPort);
        client.Send(TestDump.Message((MessageType)0, 1, 0, []), collector.HeraldPort);
        client.Send(TestDump.Message((MessageType)6, 1, 0, []), collector.HeraldPort);
        client.Send(message, collector.HeraldPort);
        client.Send(TestDump.Message(MessageType.Kdh, 3, 0, new byte[512]), collector.HeraldPort);
        client.Send(TestDump.Message(MessageType.Finished, 4, 0, []), collector.HeraldPort);

        await collector.Rejected(RejectReason.Runt, 2);
        await collector.Rejected(RejectReason.WrongLength, 2);
        await collector.Rejected(RejectReason.UnknownType, 2);
        await collector.Rejected(RejectReason.NoSession, 3);

        // The same on a session's port, in mid-dump: the dump does not mind.
        var dump = new TestDump(100_000);
        client.Herald();
        client.SendBurst(dump);
        client.Send(message[..10]);
        client.Send(message[..^1]);
        client.Send(TestDump.Message((MessageType)77, 1, 0, []));
        client.Send(TestDump.Message(MessageType.Vmcore, client.NextSeqno, ulong.MaxValue - 50, new byte[100]));
        client.Send(TestDump.Message(MessageType.Vmcore, client.NextSeqno, 1ul << 63, new byte[100]));
        client.SendRest(dump);
        client.Finish();

        await collector.AssertComplete(client, dump);
        await collector.Rejected(RejectReason.Runt, 3);
        await collector.Rejected(RejectReason.WrongLength, 3);
        await collector.Rejected(RejectReason.UnknownType, 3);
        await collector.Rejected(RejectReason.OffsetOutOfRange, 2);
        Assert.Equal(0, collector.Actors.Failures);
    }

    [Theory, EveryEndpoint]
    public async Task No_more_dumps_run_than_allowed_and_one_that_ended_makes_room(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, MaxSessions = 1 });
        var first = collector.NewClient();
        var second = collector.NewClient();
        var dump = new TestDump(100_000);
        first.Herald();
        first.SendBurst(dump);

        second.SendHeraldOnce();
        await collector.Rejected(RejectReason.TooManySessions, 1);
        first.SendRest(dump);
        first.Finish();
        Assert.Equal(0, second.CountAcks(seqno: 1));
        second.SendDump(dump);

        await collector.AssertComplete(first, dump);
        await collector.AssertComplete(second, dump);
    }

    /// <summary>When the heralds are answered there is no dump yet that could be counted.</summary>
    [Theory, EveryEndpoint]
    public async Task Heralds_that_came_together_do_not_begin_more_dumps_than_allowed(string transport, EndpointMode mode)
    {
        CollectorSetup[] limits =
        [
            new() { Transport = transport, Mode = mode, MaxSessions = 1 },
            new() { Transport = transport, Mode = mode, MaxOpenDumps = 1 },
            new() { Transport = transport, Mode = mode, Admission = new() { DumpsPerNetwork = 1 } },
        ];
        foreach (var limit in limits)
        {
            await using var collector = await RunningCollector.StartAsync(limit);
            var first = collector.NewClient();
            var second = collector.NewClient();
            var dump = new TestDump(100_000);
            first.Herald();
            second.Herald();
            first.SendBurst(dump);
            byte[][] refused = second.TakeBurst(dump);
            second.Send(refused[0]);
            await collector.Rejected(limit.Admission.DumpsPerNetwork == 1 ? RejectReason.TooManyFromNetwork : RejectReason.TooManySessions, 1);
            Assert.Single(Directory.GetFiles(collector.Root, "partial.*.ledger"));

            first.SendRest(dump);
            first.Finish();
            await collector.AssertComplete(first, dump);
            Assert.Equal(0, second.CountAcks(TestDump.SeqnoOf(refused[0])));
            if (limit.Admission.DumpsPerNetwork == 1)
                continue;
            second.SendUntilAcked(refused);
            second.SendRest(dump);
            second.Finish();
            await collector.AssertComplete(second, dump);
        }
    }

    [Theory, EveryEndpoint]
    public async Task A_host_that_panics_anew_has_its_older_dumps_place(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, MaxSessions = 2, MaxOpenDumps = 2 });
        var dump = new TestDump(200_000);
        var other = collector.NewClient();
        other.Herald();
        other.SendBurst(dump);
        var client = collector.NewClient();
        client.Herald();
        client.SendBurst(dump);

        client.Reboot();
        client.Herald();
        client.SendRest(new TestDump(200_000, seed: 2));
        client.Finish();

        var dumps = await collector.DumpsOf(client, 2);
        Assert.Equal([DumpStatus.Complete, DumpStatus.Incomplete], dumps.Select(ended => ended.Manifest.Status).Order());
        other.SendRest(dump);
        other.Finish();
        await collector.AssertComplete(other, dump);
    }

    [Theory, EveryEndpoint]
    public async Task Ended_dumps_for_whose_ledgers_there_are_no_descriptors_are_answered_for_without(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, MaxLingeringLedgers = 1 });
        var dump = new TestDump(100_000);
        WireClient[] clients = [collector.NewClient(), collector.NewClient(), collector.NewClient()];
        foreach (var client in clients)
            client.SendDump(dump);

        await Eventually.Holds(() => Directory.GetFiles(collector.Root, "partial.*.ledger").Length == 1, "one ledger is left");
        foreach (var client in clients)
        {
            client.SendUntilAcked([client.TakeFinished()]);
            await collector.AssertComplete(client, dump);
        }
    }

    [Theory, EveryTransport]
    public async Task Without_a_free_session_port_a_dump_is_served_from_the_herald_port(string transport)
    {
        const ushort Port = 20100;
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, SessionPorts = (Port, Port) });
        using var holder = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        holder.Bind(new IPEndPoint(collector.ServerAddress.ToIPAddress(), Port));
        var client = collector.NewClient();
        var dump = new TestDump(300_000);

        client.SendDump(dump);

        Assert.Equal(collector.HeraldPort, client.SessionPort);
        Assert.Equal("shared", (await collector.AssertComplete(client, dump)).Endpoint.Mode);
        Assert.Equal(1, collector.Log.Count(LogServedFromHeraldPort));

        // After a rest there is a port again.
        holder.Dispose();
        var next = await Eventually.Gets(
            () =>
            {
                var other = collector.NewClient();
                other.SendDump(dump);
                return other.SessionPort == Port ? other : null;
            },
            "the port is used again");
        Assert.Equal("ephemeral", (await collector.AssertComplete(next, dump)).Endpoint.Mode);
    }

    [Theory, EveryEndpoint]
    public async Task Where_there_is_no_room_a_dump_whose_kernel_has_given_up_makes_some(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Loops = 1, MaxSessions = 2, Sessions = new() { RetryBudgetUs = 300_000 } });
        WireClient[] dead = [collector.NewClient(), collector.NewClient()];
        var dump = new TestDump(200_000);
        foreach (var client in dead)
        {
            client.Herald();
            client.SendBurst(dump);
        }

        var late = collector.NewClient();
        late.SendDump(dump);

        await collector.AssertComplete(late, dump);
        var ended = Assert.Single(await collector.DumpsOf(dead[0], 1));
        Assert.Equal((DumpStatus.Incomplete, EndReason.ClientTimedOut), (ended.Manifest.Status, ended.Manifest.Reason));
        // Only as much as was needed.
        dead[1].SendRest(dump);
        dead[1].Finish();
        await collector.AssertComplete(dead[1], dump);
    }

    [Theory, EveryEndpoint]
    public async Task A_storm_of_heralds_without_data_locks_nobody_out(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode, Loops = 1, MaxSessions = 2, MaxHalfOpen = 3 });
        var running = collector.NewClient();
        var dump = new TestDump(200_000);
        running.Herald();
        running.SendBurst(dump);
        for (int i = 0; i < 10; i++)
            collector.NewClient().Herald();
        await collector.Rejected(RejectReason.TooManyHalfOpen, 7);
        Assert.Equal(0, collector.Metrics.Rejected(RejectReason.TooManySessions));

        var late = collector.NewClient();
        late.SendDump(dump);
        running.SendRest(dump);
        running.Finish();

        await collector.AssertComplete(late, dump);
        await collector.AssertComplete(running, dump);
    }

    [Theory, EveryTransport]
    public async Task Beyond_the_descriptors_that_sockets_may_take_dumps_are_served_from_the_herald_port(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, MaxOwnEndpoints = 1 });
        var first = collector.NewClient();
        var second = collector.NewClient();
        var dump = new TestDump(200_000);
        first.Herald();
        second.Herald();
        Assert.NotEqual(collector.HeraldPort, first.SessionPort);
        Assert.Equal(collector.HeraldPort, second.SessionPort);

        second.SendRest(dump);
        second.Finish();
        first.SendRest(dump);
        first.Finish();

        await collector.AssertComplete(first, dump);
        await collector.AssertComplete(second, dump);
        Assert.Equal(1, collector.Log.Count(LogServedFromHeraldPort));
    }

    [Theory, EveryEndpoint]
    public async Task Finished_of_an_ended_dump_is_acked_although_a_late_herald_opened_another_session(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.SendDump(dump);

        client.SendHeraldOnce();
        client.Receive(seqno: 1);

        client.SendUntilAcked([client.TakeFinished()]);
        await collector.AssertComplete(client, dump);
    }

    [Theory, EveryTransport]
    public async Task A_thousand_heralds_that_nothing_follows_leave_neither_sockets_nor_files(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Loops = 1, Sessions = new() { HalfOpenTimeoutUs = 2_000_000 } });
        Assert.Equal(1, collector.OpenSockets());
        for (int i = 0; i < 1000; i++)
        {
            using var client = collector.NewClient();
            client.Herald();
        }

        Assert.InRange(collector.OpenSockets(), 2, 1001);
        await Eventually.Holds(() => collector.OpenSockets() == 1, "only the herald socket is left");
        Assert.Empty(Directory.EnumerateFileSystemEntries(collector.Root));
    }

    [Theory, EveryEndpoint]
    public async Task Drain_replies_when_running_dumps_have_ended_and_are_durable_and_new_hosts_are_not_answered_meanwhile(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var dump = new TestDump(300_000);
        var halfOpen = collector.NewClient();
        halfOpen.Herald();
        var ended = collector.NewClient();
        ended.SendDump(dump);
        WireClient[] running = [collector.NewClient(), collector.NewClient(), collector.NewClient()];
        foreach (var client in running)
        {
            client.Herald();
            client.SendBurst(dump);
            client.SendBurst(dump);
        }

        var drained = collector.DrainAsync();

        // A new host is not answered any more.
        var late = collector.NewClient();
        long seen = collector.Metrics.Heralds;
        late.SendHeraldOnce();
        await Eventually.Holds(() => collector.Metrics.Heralds == seen + 1, "the late herald is seen");
        Assert.Equal(0, late.CountAcks(seqno: 1));
        Assert.False(drained.IsCompleted);

        foreach (var client in running)
        {
            client.SendRest(dump);
            client.Finish();
        }

        Assert.True(await drained);
        foreach (var client in (WireClient[])[ended, .. running])
            await collector.AssertComplete(client, dump);
        Assert.Equal(4, collector.Dumps.Count);
        Assert.Equal(0, collector.Metrics.Receiving);
    }

    [Theory, EveryTransport]
    public async Task Drain_without_dumps_replies(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport });
        Assert.True(await collector.DrainAsync());
    }

    private static async Task AssertSuperseded(RunningCollector collector, WireClient client, TestDump old, int storedBytes, bool sameHeaderPage = false)
    {
        ushort oldPort = client.SessionPort;
        var dump = new TestDump(200_000, seed: 2);
        if (sameHeaderPage)
            old.Content.AsSpan(0, WellKnown.PageBytes).CopyTo(dump.Content);
        client.Reboot();
        client.SendDump(dump);

        Assert.Equal(client.SessionPort == collector.HeraldPort, client.SessionPort == oldPort);
        var dumps = await collector.DumpsOf(client, 2);
        RunningCollector.AssertComplete(Assert.Single(dumps, candidate => candidate.Manifest.Status == DumpStatus.Complete), dump);
        var kept = Assert.Single(dumps, candidate => candidate.Manifest.Status != DumpStatus.Complete);
        Assert.Equal((DumpStatus.Incomplete, EndReason.Superseded), (kept.Manifest.Status, kept.Manifest.Reason));
        Assert.Empty(kept.Manifest.Damaged);
        Assert.True(old.Content.AsSpan(0, storedBytes).SequenceEqual(File.ReadAllBytes(kept.VmcorePath)), "the old dump's bytes changed");
        Assert.Equal(1, collector.Log.Count(LogSuperseded));
    }
}
