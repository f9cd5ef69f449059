using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Protocol.Tests.Client;

public sealed class KernelClientTests
{
    private const int FirstBurstPackets = 3;
    private const int FullBurstPackets = 46;

    private readonly WireRecorder _wire = new();
    private long _nowUs = 1_000_000;

    [Fact]
    public void Sends_what_a_real_kernel_sent_byte_for_byte()
    {
        var capture = GoldenCapture.Read();
        var fromKernel = capture.Where(d => d.IsFromClient).Select(d => d.Payload).ToList();
        var messages = fromKernel.ConvertAll(WireRecorder.Header);
        int burstsEnd = messages.FindIndex(m => m.Seqno == 54 || m.Type == MessageType.Kdh);
        byte[] memory = new byte[messages.Where(m => m.Type == MessageType.Vmcore).Max(m => (int)(m.Offset + m.Length))];
        foreach (byte[] datagram in fromKernel.Where(d => WireRecorder.Header(d).Type == MessageType.Vmcore))
            datagram.AsSpan(MessageHeader.SizeBytes).CopyTo(memory.AsSpan((int)WireRecorder.Header(datagram).Offset));

        var client = new KernelClient(new() { DumpBytes = 4096 + 2 * 65536 }, Memory(memory), _wire);
        client.Start(_nowUs);
        while (client.AckedBytes < 4096 + 65536)
            AckEverything(client);

        Assert.Equal(1 + FirstBurstPackets + FullBurstPackets + 3, burstsEnd);
        Assert.Equal(fromKernel[..burstsEnd], _wire.Datagrams[..burstsEnd]);
    }

    [Fact]
    public void Ends_as_a_real_kernel_did()
    {
        byte[] kdh = GoldenCapture.Read().Select(d => d.Payload).First(p => p.Length > 4 && WireRecorder.Header(p).Type == MessageType.Kdh);
        var client = Client(new() { DumpBytes = 4096, KernelDumpHeader = kdh.AsMemory(MessageHeader.SizeBytes) });

        RunToEnd(client);

        Assert.Equal(ClientState.Done, client.State);
        Assert.Equal([MessageType.Herald, MessageType.Vmcore, MessageType.Vmcore, MessageType.Vmcore, MessageType.Kdh, MessageType.Finished], _wire.Headers.Select(h => h.Type));
        Assert.Equal(new(MessageType.Kdh, 5, 0, 512), _wire.Headers.ElementAt(4));
        Assert.Equal(new(MessageType.Finished, 6, 0, 0), _wire.Headers.ElementAt(5));
    }

    [Fact]
    public void An_ack_of_8_marks_40_so_that_40_is_never_sent_again()
    {
        var client = ClientInFullBurst();
        uint first = client.BurstBase;
        Ack(client, Enumerable.Range(0, FullBurstPackets).Where(i => i is not 40 and not 20).Select(i => first + (uint)i));
        PollUntil(client, client.NextWakeUs);
        _wire.Take();

        PollUntil(client, _nowUs + 1_001_000);

        Assert.Equal([first + 20], _wire.Take().Select(h => h.Seqno));
    }

    [Fact]
    public void An_ack_of_40_marks_8_so_that_8_is_never_sent_again()
    {
        var client = ClientInFullBurst();
        uint first = client.BurstBase;

        Ack(client, Enumerable.Range(9, FullBurstPackets - 9).Concat(Enumerable.Range(0, 8)).Select(i => first + (uint)i));
        PollUntil(client, client.NextWakeUs);
        PollUntil(client, client.NextWakeUs);

        Assert.Equal(first + FullBurstPackets, client.BurstBase);
    }

    [Fact]
    public void Without_8_and_40_acked_both_are_sent_again()
    {
        var client = ClientInFullBurst();
        uint first = client.BurstBase;
        Ack(client, Enumerable.Range(0, FullBurstPackets).Where(i => i is not 40 and not 8).Select(i => first + (uint)i));
        _wire.Take();

        PollUntil(client, _nowUs + 1_001_000);

        Assert.Equal([first + 8, first + 40], _wire.Take().Select(h => h.Seqno));
    }

    [Fact]
    public void Bit_31_extends_its_sign_and_still_matches_the_wanted_bits()
    {
        var client = Client(new() { DumpBytes = 4096 + 65536, PayloadBytes = 2048 });
        RunUntilBurst(client, bytes: 65536);
        Assert.Equal(32, client.BurstPackets);

        Ack(client, Enumerable.Range(0, 32).Select(i => client.BurstBase + (uint)i));
        PollUntil(client, _nowUs + 1000);

        Assert.Equal(ClientState.Finished, client.State);
    }

    [Fact]
    public void A_bitmap_of_64_bits_tells_8_from_40()
    {
        var client = ClientInFullBurst(new() { DumpBytes = 1 << 20, AckBitmap = AckBitmap.Ideal64 });
        uint first = client.BurstBase;
        Ack(client, Enumerable.Range(0, FullBurstPackets).Where(i => i != 40).Select(i => first + (uint)i));
        _wire.Take();

        PollUntil(client, _nowUs + 1_001_000);

        Assert.Equal([first + 40], _wire.Take().Select(h => h.Seqno));
    }

    [Fact]
    public void Ack_of_a_seqno_the_burst_does_not_have_keeps_it_from_ending()
    {
        var client = Client(new() { DumpBytes = 1 << 20 });
        RunUntilBurst(client, bytes: 4096);

        Ack(client, Enumerable.Range(0, 4).Select(i => client.BurstBase + (uint)i));
        PollUntil(client, _nowUs + 20_000_000);

        Assert.Equal(ClientState.Failed, client.State);
        Assert.Equal(ClientState.Vmcore, client.EndedIn);
    }

    [Fact]
    public void Acks_below_the_burst_and_far_above_it_change_nothing()
    {
        var client = ClientInFullBurst();
        uint first = client.BurstBase;

        Ack(client, Enumerable.Range(1, 4).Select(i => first - (uint)i).Concat(Enumerable.Range(64, 64).Select(i => first + (uint)i)));
        PollUntil(client, _nowUs + 999_000);

        Assert.Equal(first, client.BurstBase);
        Assert.Equal(64, client.Counters.FarAcks);
        Assert.Equal(4, client.Counters.LateAcks);
        _wire.Take();
        PollUntil(client, _nowUs + 2_000);
        Assert.Equal(FullBurstPackets, _wire.Take().Length);
    }

    [Fact]
    public void Gives_up_after_12_sends_in_12_seconds()
    {
        var client = Client(new() { DumpBytes = 4096 });
        long startUs = _nowUs;
        while (!client.HasEnded)
            PollUntil(client, client.NextWakeUs);

        Assert.Equal(ClientState.Failed, client.State);
        Assert.Equal(ClientState.Herald, client.EndedIn);
        Assert.Equal(12, _wire.Take().Count(h => h is { Type: MessageType.Herald, Seqno: 1 }));
        Assert.Equal(11, client.Counters.RetransmitRounds);
        Assert.Equal(12 * 2001 * 500, _nowUs - startUs);
        Assert.Equal(long.MaxValue, client.NextWakeUs);
    }

    [Fact]
    public void Partial_progress_does_not_reset_the_rounds()
    {
        var client = ClientInFullBurst();
        uint first = client.BurstBase;
        for (uint i = 0; i < 12; i++)
        {
            Ack(client, [first + i]);
            PollUntil(client, _nowUs + 2001 * 500);
        }

        Assert.Equal(ClientState.Failed, client.State);
    }

    [Fact]
    public void Sees_acks_at_its_next_look_and_goes_on_one_interval_later()
    {
        var client = ClientInFullBurst();
        uint first = client.BurstBase;
        long sentUs = _nowUs;

        PollUntil(client, sentUs + 501);
        Ack(client, Enumerable.Range(0, FullBurstPackets).Select(i => first + (uint)i));
        PollUntil(client, sentUs + 1499);
        Assert.Equal(first, client.BurstBase);

        PollUntil(client, sentUs + 1500);
        Assert.Equal(first + FullBurstPackets, client.BurstBase);
    }

    [Fact]
    public void Sends_again_although_the_missing_ack_waits_unseen_in_its_nic()
    {
        var client = Client(new() { DumpBytes = 4096 });
        PollUntil(client, _nowUs + 2000 * 500 + 1);
        _wire.Take();

        Ack(client, [1]);
        PollUntil(client, _nowUs + 499);
        Assert.Equal([MessageType.Herald], _wire.Take().Select(h => h.Type));

        PollUntil(client, _nowUs + 500);
        Assert.Equal(ClientState.Vmcore, client.State);
    }

    [Fact]
    public void Copies_the_next_burst_over_packets_that_still_wait_in_the_nic()
    {
        // 100 Mbit/s: a burst of 46 packets takes 5.6 ms to leave.
        var client = Client(new() { DumpBytes = 4096 + 2 * 65536, NicBytesPerSecond = 12_500_000 });
        RunUntilBurst(client, bytes: 65536);
        uint first = client.BurstBase;
        _wire.Take();
        while (_wire.Datagrams.Count < 34)
            PollUntil(client, client.NextWakeUs);
        var left = _wire.Take();

        Ack(client, left.Select(h => h.Seqno));
        while (client.BurstBase == first)
            PollUntil(client, client.NextWakeUs);
        PollUntil(client, _nowUs + 10_000);

        var after = _wire.Take();
        Assert.InRange(client.Counters.CorruptedInQueue, 1, 46 - 34);
        Assert.Equal(46 - 34, client.Counters.CorruptedInQueue + after.Count(h => h.Seqno < first + FullBurstPackets));
        Assert.Equal(FullBurstPackets, after.Count(h => h.Seqno >= first + FullBurstPackets));
    }

    [Fact]
    public void Waits_for_a_stalled_nic_and_then_sends_in_order()
    {
        var client = Client(new() { DumpBytes = 4096, NicBytesPerSecond = 125_000_000 });
        client.StallNic(_nowUs + 300_000);

        PollUntil(client, _nowUs + 299_999);
        Assert.Empty(_wire.Datagrams);
        PollUntil(client, _nowUs + 1);
        Assert.Equal([MessageType.Herald], _wire.Headers.Select(h => h.Type));
    }

    [Theory]
    [InlineData(KernelEra.FreeBsd13, "HKKKVVVDF")]
    [InlineData(KernelEra.FreeBsd12, "HVVVDKKKF")]
    public void Sends_its_messages_in_the_order_of_its_era(KernelEra era, string order)
    {
        var client = Client(new() { DumpBytes = 4096, Era = era, Key = new byte[4096], KernelDumpHeader = new byte[512] });

        RunToEnd(client);

        Assert.Equal(order, string.Concat(_wire.Headers.Select(h => "?HFVDK"[(int)h.Type])));
        Assert.Equal(Enumerable.Range(1, order.Length), _wire.Headers.Select(h => (int)h.Seqno));
    }

    [Theory]
    [InlineData(KernelEra.FreeBsd12, 4096)]
    [InlineData(KernelEra.FreeBsd13, 8948)]
    public void Jumbo_frames_are_capped_by_12_era_kernels_only(KernelEra era, int largest)
    {
        var client = Client(new() { DumpBytes = 4096 + 65536, Era = era, PayloadBytes = KernelClientOptions.PayloadOfMtu(9000) });

        RunToEnd(client);

        Assert.Equal(largest, _wire.Headers.Max(h => (int)h.Length));
    }

    [Fact]
    public void A_long_herald_path_comes_in_several_packets()
    {
        string path = new('d', 1000);
        var client = Client(new() { DumpBytes = 4096, PayloadBytes = 524, HeraldPath = path });

        RunToEnd(client);

        var herald = _wire.Datagrams.Where(d => WireRecorder.Header(d).Type == MessageType.Herald).ToList();
        Assert.Equal(2, herald.Count);
        Assert.Equal(524ul, WireRecorder.Header(herald[1]).Offset);
        Assert.Equal(path + '\0', string.Concat(herald.Select(d => System.Text.Encoding.UTF8.GetString(d.AsSpan(24)))));
        Assert.Equal(3u, WireRecorder.Header(_wire.Datagrams[2]).Seqno);
    }

    [Fact]
    public void First_burst_at_a_stale_offset_never_comes_at_0()
    {
        var client = Client(new() { DumpBytes = 16384, FirstBurstOffset = 8192, PayloadBytes = 4096 });

        RunToEnd(client);

        var vmcore = _wire.Datagrams.Where(d => WireRecorder.Header(d).Type == MessageType.Vmcore).ToList();
        Assert.Equal([8192ul, 4096ul, 8192ul, 12288ul], vmcore.Select(d => WireRecorder.Header(d).Offset));
        byte[] page = new byte[4096];
        SyntheticContent.Fill(0, 0, page);
        Assert.Equal(page, vmcore[0][MessageHeader.SizeBytes..]);
    }

    [Fact]
    public void Stale_bytes_come_before_offset_0()
    {
        byte[] stale = [1, 2, 3, 4];
        var client = Client(new() { DumpBytes = 4096, StaleBurst = new(1 << 20, stale), PayloadBytes = 4096 });

        RunToEnd(client);

        Assert.Equal(new(MessageType.Vmcore, 2, 1 << 20, 4), _wire.Headers.ElementAt(1));
        Assert.Equal(stale, _wire.Datagrams[1][MessageHeader.SizeBytes..]);
        Assert.Equal(new(MessageType.Vmcore, 3, 0, 4096), _wire.Headers.ElementAt(2));
        Assert.Equal(4096ul, client.AckedBytes);
    }

    [Fact]
    public void A_kernel_whose_earlier_attempt_failed_sends_no_FINISHED()
    {
        var client = Client(new() { DumpBytes = 4096, KernelDumpHeader = new byte[512], SendsFinished = false });

        RunToEnd(client);

        Assert.Equal(ClientState.Done, client.State);
        Assert.Equal(MessageType.Kdh, _wire.Headers.Last().Type);
    }

    [Fact]
    public void Netdump_client_waits_for_ever_for_each_single_ack()
    {
        var client = Client(KernelClientOptions.NetdumpClient(2500));
        Assert.Equal(long.MaxValue, client.NextWakeUs);

        RunToEnd(client);

        Assert.Equal(
            [
                new(MessageType.Herald, 0, 0, 0), new(MessageType.Vmcore, 1, 0, 1000), new(MessageType.Vmcore, 2, 1000, 1000),
                new(MessageType.Vmcore, 3, 2000, 500), new(MessageType.Finished, 0, 0, 0),
            ],
            _wire.Headers);
    }

    [Fact]
    public void Does_not_look_at_its_nic_during_a_pause()
    {
        var client = Client(new() { DumpBytes = 4096 + 65536, BurstPlan = new PausedBursts(800_000) });
        RunUntilBurst(client, bytes: 65536);
        _wire.Take();

        Ack(client, [2]);
        PollUntil(client, _nowUs + 799_999);
        Assert.Empty(_wire.Datagrams);
        Assert.Equal(4, client.Counters.Acks);

        PollUntil(client, _nowUs + 1);
        Assert.Equal(FullBurstPackets, _wire.Datagrams.Count);
        Assert.Equal(5, client.Counters.Acks);
    }

    [Fact]
    public void A_dead_host_sends_nothing_more()
    {
        var client = Client(new() { DumpBytes = 1 << 20, NicBytesPerSecond = 1_000_000 });
        client.Die();

        PollUntil(client, _nowUs + 20_000_000);

        Assert.Equal(ClientState.Dead, client.State);
        Assert.Equal(ClientState.Herald, client.EndedIn);
        Assert.Empty(_wire.Datagrams);
    }

    [Fact]
    public void An_option_out_of_range_is_named()
    {
        var error = Assert.Throws<ArgumentException>(() => new KernelClient(new() { DumpBytes = 0 }, SyntheticContent.Of(0), _wire));

        Assert.Equal(nameof(KernelClientOptions.DumpBytes), error.ParamName);
    }

    private static ContentSource Memory(byte[] memory) => (offset, destination) =>
    {
        destination.Clear();
        if (offset < (ulong)memory.Length)
            memory.AsSpan((int)offset, Math.Min(destination.Length, memory.Length - (int)offset)).CopyTo(destination);
    };

    private KernelClient Client(KernelClientOptions options)
    {
        var client = new KernelClient(options, SyntheticContent.Of(0), _wire);
        client.Start(_nowUs);
        return client;
    }

    /// <summary>A client that has just sent the 46 packets of its first full burst.</summary>
    private KernelClient ClientInFullBurst(KernelClientOptions? options = null)
    {
        var client = Client(options ?? new() { DumpBytes = 1 << 20 });
        RunUntilBurst(client, bytes: 65536);
        Assert.Equal(FullBurstPackets, client.BurstPackets);
        return client;
    }

    private void RunUntilBurst(KernelClient client, int bytes)
    {
        while (client.State != ClientState.Vmcore || client.BurstBytes != bytes)
            AckEverything(client);
    }

    private void RunToEnd(KernelClient client)
    {
        while (!client.HasEnded)
            AckEverything(client);
    }

    private void AckEverything(KernelClient client)
    {
        uint first = client.BurstBase;
        int bytes = client.BurstBytes;
        var state = client.State;
        Ack(client, Enumerable.Range(0, client.BurstPackets).Select(i => first + (uint)i));
        while (client.BurstBase == first && client.State == state && client.BurstBytes == bytes)
            PollUntil(client, client.NextWakeUs);
    }

    private void Ack(KernelClient client, IEnumerable<uint> seqnos)
    {
        foreach (uint seqno in seqnos)
            client.OnAck(seqno, _nowUs);
    }

    /// <summary>Wakes the client when it asks for it, as a simulator does, up to <paramref name="untilUs"/>.</summary>
    private void PollUntil(KernelClient client, long untilUs)
    {
        while (client.NextWakeUs <= untilUs)
        {
            _nowUs = Math.Max(_nowUs, client.NextWakeUs);
            client.Poll(_nowUs);
            if (untilUs == _nowUs)
                return;
        }

        _nowUs = untilUs;
    }

    private sealed class PausedBursts(long pauseUs) : IBurstPlan
    {
        public BurstStep StepAt(ulong offset, ulong leftBytes) => new(WellKnown.BurstBytes, pauseUs);
    }
}
