using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>Bursts of which something is not known: their end, their beginning, or whether a kernel sends them.</summary>
public sealed partial class BurstAcksTests
{
    /// <summary>11 pages at MTU 1460 are exactly 32 full packets; a 64 KiB burst would have 47.</summary>
    private static readonly Burst s_fullLengthEnding = new(100, 1 << 20, 11 * WellKnown.PageBytes, 1408);

    [Fact]
    public void A_full_length_ending_is_inferred_from_one_whole_later_round()
    {
        var burst = s_fullLengthEnding;
        Assert.Equal(32, burst.Count);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.AssertNoAcks();
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(Enumerable.Range(15, 17)));
        server.WaitForRound();
        server.AssertNoAcks();

        server.Receive(burst, Enumerable.Range(0, 15));
        server.AssertNoAcks();
        server.Wait(server.Options.RoundGapUs);
        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 15)));

        server.WaitForRound();
        server.Receive(burst.Next());
        server.AssertAcks(burst.Next().Seqnos(burst.Next().All));
    }

    [Fact]
    public void A_full_length_ending_is_not_inferred_from_a_round_that_lacks_a_held_packet()
    {
        var burst = s_fullLengthEnding;
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.WaitUntilQuiet();
        server.TakeAcks();
        for (int missing = 0; missing < 3; missing++)
        {
            server.WaitForRound();
            server.Receive(burst, Enumerable.Range(0, 15).Where(index => index != missing * 7));
            server.Wait(500_000);
            server.AssertNoAcks();
        }

        server.WaitForRound();
        server.Receive(burst, Enumerable.Range(0, 15));
        server.Wait(500_000);
        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 15)));
    }

    [Fact]
    public void A_full_length_ending_is_not_inferred_while_something_below_is_missing()
    {
        var burst = s_fullLengthEnding;
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 3);
        server.WaitUntilQuiet();
        server.TakeAcks();
        server.WaitForRound();
        server.Receive(burst, Enumerable.Range(0, 15).Except([3]));
        server.Wait(500_000);
        server.AssertNoAcks();

        // 3 was lost, so this network loses packets: one round is not enough to trust that nothing above was lost twice.
        server.WaitForRound();
        server.Receive(burst, Enumerable.Range(0, 15));
        server.Wait(500_000);
        server.AssertNoAcks();
        server.WaitForRound();
        server.Receive(burst, Enumerable.Range(0, 15));
        server.Wait(500_000);
        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 15)));
    }

    [Fact]
    public void A_packet_above_that_comes_in_a_later_round_is_the_end_instead()
    {
        var burst = Burst.Whole(payload: 1408);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst, Enumerable.Range(0, 32));
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(Enumerable.Range(15, 17)));
        server.WaitForRound();
        server.Receive(burst, [.. Enumerable.Range(0, 15), .. Enumerable.Range(32, 15)]);
        server.AssertAcks(burst.Seqnos([.. Enumerable.Range(0, 15), .. Enumerable.Range(32, 15)]));
    }

    [Fact]
    public void Off_a_page_boundary_no_ending_is_inferred_before_the_last_resort()
    {
        var burst = new Burst(100, 1 << 20, 32 * 1448, 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(Enumerable.Range(14, 18)));

        // Sends 2 to 9; the kernel gives up 1 s after the 12th.
        for (int send = 2; send <= 9; send++)
        {
            server.WaitForRound();
            server.Receive(burst, Enumerable.Range(0, 14));
            server.Wait(500_000);
            server.AssertNoAcks();
        }

        server.WaitForRound();
        server.Receive(burst, Enumerable.Range(0, 14));
        server.Wait(500_000);
        Assert.Equal(burst.Seqnos(Enumerable.Range(0, 14)), server.TakeAcks().Order().Take(14));
    }

    [Fact]
    public void A_kernel_that_still_gets_something_through_is_not_at_the_last_resort()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst, Enumerable.Range(0, 34));
        for (int send = 2; send <= 11; send++)
        {
            server.WaitForRound();
            server.TakeAcks();
            server.Receive(burst, [13, 32 + send]);
            server.Wait(500_000);
            Assert.DoesNotContain(burst[13].Seqno, server.TakeAcks());
        }

        server.WaitForRound();
        server.Receive(burst, [13, 44, 45]);
        Assert.Contains(burst[13].Seqno, server.TakeAcks());
    }

    [Fact]
    public void After_an_inferred_end_a_burst_that_begins_elsewhere_gets_no_wrong_acks()
    {
        // The burst had 47 packets, the last 15 were lost twice, and the kernel believes it acked: it goes on 15 seqnos later than thought.
        var guessed = s_fullLengthEnding;
        var whole = guessed with { Bytes = WellKnown.BurstBytes };
        var server = ServerAfterInferredEnd(guessed);
        var next = whole.Next();
        Assert.Equal(guessed.Next().First + 15, next.First);

        server.ReceiveAllBut(next, 8);
        server.Wait(900_000);
        server.AssertNoAcks();
        server.ReceiveAllBut(next, 8);
        server.Wait(900_000);
        server.AssertAcks(next.Seqnos(next.All.Except([8, 40])));
        server.Receive(next, [8, 40]);
        server.AssertAcks(next.Seqnos([8, 40]));
    }

    [Fact]
    public void After_an_inferred_end_a_burst_that_begins_as_expected_is_released_at_once()
    {
        var server = ServerAfterInferredEnd(s_fullLengthEnding);
        var next = s_fullLengthEnding.Next();
        server.Receive(next);
        server.AssertAcks(next.Seqnos(next.All));
    }

    [Fact]
    public void After_an_inferred_end_a_head_that_is_lost_twice_is_still_waited_for()
    {
        var server = ServerAfterInferredEnd(s_fullLengthEnding);
        var next = s_fullLengthEnding.Next();
        for (int send = 0; send < 4; send++)
        {
            server.ReceiveAllBut(next, 0);
            server.WaitForRound();
        }

        // 32 shares the bit of the lost packet 0: once acked, the kernel never sends 0 again.
        uint[] acked = server.TakeAcks();
        Assert.DoesNotContain(next[32].Seqno, acked);
        server.Receive(next, [0, 32]);
        server.WaitForRound();
        Assert.Equal(next.Seqnos(next.All), server.TakeAcks().Concat(acked).Distinct().Order());
    }

    [Fact]
    public void Repeats_of_a_burst_whose_end_was_inferred_are_acked_at_once()
    {
        var server = ServerAfterInferredEnd(s_fullLengthEnding);
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(s_fullLengthEnding[3]));
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(s_fullLengthEnding[31]));
    }

    [Fact]
    public void A_session_that_does_not_know_its_first_seqno_acks_what_two_rounds_agree_on()
    {
        var burst = Burst.Whole(payload: 1448, first: 70_000);
        var server = new BurstAcksDriver(first: 2);
        server.ReceiveAllBut(burst, 40);
        server.Wait(900_000);
        server.AssertNoAcks();
        server.ReceiveAllBut(burst, 40);
        server.Wait(900_000);
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 40])));
        server.Receive(burst, [8, 40]);
        server.AssertAcks(burst.Seqnos([8, 40]));
        server.Receive(burst.Next());
        server.AssertAcks(burst.Next().Seqnos(burst.All));
    }

    [Fact]
    public void Rounds_that_begin_at_different_packets_agree_on_nothing()
    {
        var burst = Burst.Whole(payload: 1448, first: 70_000);
        var server = new BurstAcksDriver(first: 2);
        foreach (int head in (int[])[2, 1, 0])
        {
            server.Receive(burst, burst.All.Skip(head));
            server.Wait(900_000);
            server.AssertNoAcks();
        }

        server.Receive(burst);
        server.Wait(900_000);
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void A_held_packet_of_a_client_that_does_not_pipeline_is_acked_after_three_seconds_and_then_packet_by_packet()
    {
        var packets = new Burst(2, 0, 20_000, 1000);
        var server = new BurstAcksDriver(packets.First);
        server.Receive(packets, [0]);
        server.Wait(server.Options.SinglePacketHoldUs - 1);
        server.AssertNoAcks();
        server.Wait(1);
        server.AssertAcks(packets.Seqnos([0]));
        for (int index = 1; index < 10; index++)
        {
            server.Receive(packets, [index]);
            server.AssertAcks(packets.Seqnos([index]));
            server.Wait(200_000);
        }
    }

    [Fact]
    public void Repeating_the_held_packet_does_not_start_its_three_seconds_anew()
    {
        var packets = new Burst(2, 0, 20_000, 1000);
        var server = new BurstAcksDriver(packets.First);
        server.Receive(packets, [0]);
        server.Wait(1_900_000);
        Assert.Equal(Arrival.RepeatToHold, server.Arrive(packets[0]));
        server.StorePending();
        server.Wait(1_099_999);
        server.AssertNoAcks();
        server.Wait(1);
        server.AssertAcks(packets.Seqnos([0]));
    }

    [Fact]
    public void A_packet_that_is_stored_while_another_of_its_batch_is_not_does_not_ack_the_other()
    {
        var server = new BurstAcksDriver(first: 2);
        server.Arrive(new(18, 1600, 100));
        server.Arrive(new(35, 0, 100));
        server.StoreFirstPending(1);
        server.Wait(60_000_000);
        Assert.DoesNotContain(35u, server.TakeAcks());
    }

    [Fact]
    public void Two_packets_outstanding_at_once_end_going_packet_by_packet_for_good()
    {
        var server = ServerGoingPacketByPacket(out var burst);
        server.ReceiveAllBut(burst, 40);
        server.AssertNoAcks();
        Assert.False(server.Bursts.AcksPerPacket);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 40])));
        server.Receive(burst, [8, 40]);
        server.AssertAcks(burst.Seqnos([8, 40]));

        server.Receive(burst.Next(), [5]);
        server.Wait(20_000_000);
        server.AssertNoAcks();
    }

    [Fact]
    public void Two_packets_that_end_going_packet_by_packet_may_come_in_any_order()
    {
        var server = ServerGoingPacketByPacket(out var burst);
        server.Receive(burst, [1, 0, .. Enumerable.Range(2, 44)]);
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void The_first_burst_after_going_packet_by_packet_begins_where_the_last_packet_ended()
    {
        var server = ServerGoingPacketByPacket(out var burst);
        server.ReceiveAllBut(burst, 0, 32);
        server.WaitUntilQuiet();
        Assert.Equal(burst.First, server.Bursts.Base);
        Assert.NotEqual(Arrival.RepeatToAck, server.Arrive(burst[0]));
        server.StorePending();
        server.WaitUntilQuiet();
        Assert.DoesNotContain(burst[0].Seqno, server.TakeAcks());
    }

    [Fact]
    public void A_packet_far_ahead_in_the_batch_that_ends_going_packet_by_packet_does_not_count_for_the_burst()
    {
        var server = ServerGoingPacketByPacket(out var burst);
        server.Arrive(new(burst.First + 4000, 0, 1448));
        server.ReceiveAllBut(burst, 20);
        server.Wait(900_000);
        Assert.DoesNotContain(burst[20].Seqno, server.TakeAcks());
    }

    [Fact]
    public void A_packet_far_ahead_that_is_stored_late_does_not_count_for_the_burst()
    {
        // Two rounds agree on the first packet while the disk is busy with a packet that belongs elsewhere.
        var header = new Burst(2, 0, WellKnown.PageBytes, 1448);
        var burst = Burst.Whole(payload: 1448, first: 70_000);
        var server = new BurstAcksDriver(header.First);
        server.Receive(header);
        Assert.Equal(Arrival.Stray, server.Arrive(burst[0]));
        server.Wait(900_000);
        server.ReceiveAllBut(burst, 20);
        server.Wait(900_000);
        server.Arrive(new(burst.First + 1000, 0, 1448));
        foreach (int index in burst.All.Except([20]))
            Assert.Equal(Arrival.RepeatToHold, server.Arrive(burst[index]));
        server.Wait(900_000);
        server.StorePending();
        server.Wait(900_000);
        Assert.DoesNotContain(burst[20].Seqno, server.TakeAcks());
    }

    [Fact]
    public void A_client_that_pipelined_once_is_a_kernel_however_long_it_is_silent()
    {
        var header = new Burst(2, 0, WellKnown.PageBytes, 1448);
        var server = new BurstAcksDriver(header.First);
        server.Receive(header);
        server.TakeAcks();

        // 5 and its partner 37 share a bit, and 37 is nowhere.
        server.Receive(header.Next(), [5]);
        server.Wait(60_000_000);
        server.AssertNoAcks();
        Assert.False(server.Bursts.AcksPerPacket);
    }

    [Fact]
    public void A_seqno_far_ahead_is_ignored_until_the_client_insists()
    {
        var burst = Burst.Whole(payload: 1448);
        var ahead = Burst.Whole(payload: 1448, first: burst.First + 5000);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.TakeAcks();
        Assert.Equal(Arrival.Stray, server.Arrive(ahead[0]));
        server.Wait(50_000);
        Assert.Equal(Arrival.Stray, server.Arrive(ahead[0]));
        server.Wait(50_000);
        Assert.Equal(Arrival.New, server.Arrive(ahead[0]));
    }

    [Fact]
    public void A_stray_packet_is_forgotten_when_the_running_burst_goes_on()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.TakeAcks();
        var next = burst.Next();
        for (int index = 0; index < next.Count; index++)
        {
            Assert.Equal(Arrival.Stray, server.Arrive(next[0] with { Seqno = next.First + 46 + (uint)index }));
            server.Wait(200_000);
            server.Receive(next, [index]);
        }

        Assert.Equal(next.Seqnos(next.All), server.TakeAcks().Order());
    }

    [Fact]
    public void Three_bursts_of_impossible_geometry_show_a_client_that_is_no_kernel()
    {
        var server = new BurstAcksDriver(first: 2);
        // Two packets at a time, of lengths that change from packet to packet; no buffer is cut like that.
        var acked = new HashSet<uint>();
        uint seqno = 2;
        ulong offset = 0;
        for (int pair = 0; pair < 3; pair++)
        {
            var first = new BurstPacket(seqno, offset, 700 + 10 * pair);
            var second = new BurstPacket(seqno + 1, offset + (ulong)first.Length, 900 + 7 * pair);
            Assert.False(server.Bursts.AcksPerPacket);
            for (int round = 0; round < 20 && !(acked.Contains(first.Seqno) && acked.Contains(second.Seqno)); round++)
            {
                server.Arrive(first);
                server.Arrive(second);
                server.StorePending();
                server.WaitForRound();
                acked.UnionWith(server.TakeAcks());
            }

            Assert.Contains(first.Seqno, acked);
            Assert.Contains(second.Seqno, acked);
            seqno += 2;
            offset += (ulong)(first.Length + second.Length);
        }

        Assert.True(server.Bursts.AcksPerPacket);
        var later = new BurstPacket(seqno, offset, 777);
        Assert.Equal(Arrival.NewToAck, server.Arrive(later));
        server.StorePending();
        server.AssertAcks([later.Seqno]);
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(later));
    }

    [Fact]
    public void What_is_held_is_released_with_the_packet_that_shows_a_client_that_is_no_kernel()
    {
        var burst = Burst.Whole(payload: 1000);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst, [0, 1, 2]);
        server.AssertNoAcks();
        var large = new BurstPacket(burst[3].Seqno, burst[3].Offset, 4000);
        Assert.Equal(Arrival.NewToAck, server.Arrive(large));
        server.StorePending();
        Assert.Equal(burst.Seqnos([0, 1, 2, 3]), server.TakeAcks().Distinct().Order());
    }

    [Fact]
    public void Acks_are_sent_once_more_when_the_client_stays_silent_on_a_network_that_loses_packets()
    {
        var server = ServerThatSawLoss(Burst.Whole(payload: 1448), out var burst);
        server.Receive(burst);
        server.AssertAcks(burst.Seqnos(burst.All));
        server.Wait(server.Options.ReackUs - 1);
        server.AssertNoAcks();
        server.Wait(60_000_000);
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void Acks_are_not_sent_once_more_where_nothing_was_lost_before()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First, options: new());
        server.Receive(burst);
        server.AssertAcks(burst.Seqnos(burst.All));
        server.Wait(60_000_000);
        server.AssertNoAcks();
    }

    [Fact]
    public void Acks_are_not_sent_once_more_when_the_client_goes_on()
    {
        var server = ServerThatSawLoss(Burst.Whole(payload: 1448), out var burst);
        server.Receive(burst);
        server.TakeAcks();
        server.Wait(10_000);
        server.Receive(burst.Next(), [8]);
        server.Wait(60_000_000);
        server.AssertNoAcks();
    }

    [Fact]
    public void Acks_sent_once_more_stay_within_the_clients_window()
    {
        var server = ServerThatSawLoss(Burst.Whole(payload: 524), out var burst);
        server.Receive(burst);
        server.TakeAcks();
        server.Wait(60_000_000);
        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 64)));
    }

    [Fact]
    public void Large_packets_are_acked_once_more_only_if_they_were_stored()
    {
        var burst = Burst.Whole(payload: 8948);
        var server = new BurstAcksDriver(burst.First, options: new());
        server.Receive(burst, [0, 1, 2, 4]);
        server.WaitForRound();
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[0]));
        server.Receive(burst, [5, 3, 7]);
        server.TakeAcks();
        server.Wait(60_000_000);
        uint[] again = server.TakeAcks();
        Assert.Contains(burst[7].Seqno, again);
        Assert.Subset((HashSet<uint>)[.. burst.Seqnos([0, 1, 2, 3, 4, 5, 7])], again.ToHashSet());
    }

    [Fact]
    public void Acks_that_a_tick_releases_are_not_sent_once_more_by_the_same_tick()
    {
        var server = ServerThatSawLoss(s_fullLengthEnding with { Bytes = WellKnown.BurstBytes }, out var burst);
        burst = burst with { Bytes = s_fullLengthEnding.Bytes };
        server.Receive(burst);
        server.WaitForRound();
        server.AssertAcks(burst.Seqnos(Enumerable.Range(15, 17)));
        for (int round = 0; round < 2; round++)
        {
            server.Receive(burst, Enumerable.Range(0, 15));
            server.AssertNoAcks();
            server.Wait(server.Options.RoundGapUs);
        }

        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 15)));
    }

    [Fact]
    public void What_the_kernel_could_send_now_reaches_from_the_previous_burst_to_the_longest_running_one()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        Assert.Equal(burst.First, server.Bursts.ExpectedFirst);
        Assert.Equal(92u, server.Bursts.ExpectedCount);
    }

    private static BurstAcksDriver ServerAfterInferredEnd(Burst burst)
    {
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.WaitForRound();
        server.Receive(burst, Enumerable.Range(0, 15));
        server.WaitForRound();
        server.AssertAcks(burst.Seqnos(burst.All));
        return server;
    }

    /// <summary>A burst of which one packet was lost and came again, and the one that follows.</summary>
    private static BurstAcksDriver ServerThatSawLoss(Burst burst, out Burst next)
    {
        var server = new BurstAcksDriver(burst.First, options: new());
        server.ReceiveAllBut(burst, 20);
        server.WaitForRound();
        Assert.NotEmpty(server.TakeAcks());
        server.Receive(burst, [20]);
        Assert.NotEmpty(server.TakeAcks());
        next = burst.Next();
        return server;
    }

    /// <summary>One packet was held for three seconds and acked; the client goes on with bursts.</summary>
    private static BurstAcksDriver ServerGoingPacketByPacket(out Burst burst)
    {
        var header = new Burst(2, 0, 1448, 1448);
        var server = new BurstAcksDriver(header.First);
        server.Receive(header);
        server.Wait(server.Options.SinglePacketHoldUs);
        server.AssertAcks(header.Seqnos([0]));
        Assert.True(server.Bursts.AcksPerPacket);
        burst = header.Next();
        return server;
    }
}
