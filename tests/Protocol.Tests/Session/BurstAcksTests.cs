using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed partial class BurstAcksTests
{
    [Fact]
    public void Holds_8_until_40_is_stored_because_the_kernel_shares_their_bit()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 40);
        server.AssertNoAcks();
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 40])));

        server.WaitForRound();
        Assert.Equal(Arrival.RepeatToHold, server.Arrive(burst[8]));
        server.StorePending();
        server.AssertNoAcks();
        server.Receive(burst, [40]);
        server.AssertAcks(burst.Seqnos([8, 40]));
    }

    [Fact]
    public void Holds_40_until_8_is_stored_as_well()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 8);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 40])));
        server.Receive(burst, [8]);
        server.AssertAcks(burst.Seqnos([8, 40]));
    }

    [Theory]
    [InlineData(1448, 46)]
    [InlineData(1408, 47)]
    [InlineData(1024, 64)]
    public void Releases_a_whole_burst_at_once_when_its_end_is_known(int payload, int packets)
    {
        var burst = Burst.Whole(payload);
        var server = new BurstAcksDriver(burst.First);
        Assert.Equal(packets, burst.Count);
        foreach (int index in burst.All.SkipLast(1))
        {
            server.Receive(burst, [index]);
            server.AssertNoAcks();
        }

        server.Receive(burst, [packets - 1]);
        server.AssertAcks(burst.Seqnos(burst.All));
        Assert.Equal(1, server.Bursts.Bursts);
        Assert.Equal(burst.Next().First, server.Bursts.Base);
        Assert.Equal(payload, server.Bursts.PayloadBytes);
    }

    [Fact]
    public void Releases_a_whole_burst_with_its_last_packet_whatever_the_order() =>
        Prop.ForAll(Gen.Elements(524, 1000, 1024, 1408, 1448, 2000).Zip(Gen.Choose(1, 16)).Zip(Gen.Choose(0, int.MaxValue)).ToArbitrary(), order =>
        {
            var ((payload, pages), seed) = order;
            var burst = new Burst(100, 1 << 20, pages * WellKnown.PageBytes, payload);
            // A full-length ending has to be inferred, and that takes rounds, but for the one at 64 KiB.
            if (burst.Bytes % payload == 0 && burst.Bytes != WellKnown.BurstBytes)
                return true;

            var server = new BurstAcksDriver(burst.First);
            int[] shuffled = [.. burst.All];
            new Random(seed).Shuffle(shuffled);
            foreach (int index in shuffled.SkipLast(1))
                server.Receive(burst, [index]);
            bool early = server.TakeAcks().Length > 0;
            server.Receive(burst, [shuffled[^1]]);
            return !early && server.TakeAcks().Order().SequenceEqual(burst.Seqnos(burst.All.Take(WellKnown.AckWindow)));
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(524)]
    [InlineData(1024)]
    [InlineData(1408)]
    [InlineData(1448)]
    public void Never_releases_a_packet_whose_partner_is_missing_and_never_lets_the_kernel_starve(int payload) =>
        Prop.ForAll(LossyDumps(payload).ToArbitrary(), dump =>
        {
            var kernel = new BurstKernel(dump);
            kernel.Run();
            return (kernel.Broken is null).Label(kernel.Broken ?? "");
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void After_silence_exactly_the_residues_are_released_all_of_whose_packets_are_stored() =>
        Prop.ForAll(Gen.Elements(524, 1024, 1408, 1448).Zip(Gen.Choose(1, 16)).Zip(Gen.Choose(0, int.MaxValue).Zip(Gen.Choose(0, 100))).ToArbitrary(), drop =>
        {
            var ((payload, pages), (seed, lossPercent)) = drop;
            var burst = new Burst(100, 1 << 20, pages * WellKnown.PageBytes, payload);
            var random = new Random(seed);
            int[] arrived = [.. burst.All.Where(_ => random.Next(100) >= lossPercent)];
            var server = new BurstAcksDriver(burst.First);
            server.Receive(burst, arrived);
            server.WaitUntilQuiet();
            return server.TakeAcks().Order().SequenceEqual(burst.Seqnos(SafeAfterSilence(burst, arrived)));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_lost_packet_without_partner_keeps_only_its_own_ack_back()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 20);
        server.AssertNoAcks();
        server.Wait(server.Options.QuietPeriodUs - 1);
        server.AssertNoAcks();
        server.Wait(1);
        server.AssertAcks(burst.Seqnos(burst.All.Except([20])));
        Assert.Equal(1, server.Bursts.QuietBursts);

        server.WaitForRound();
        server.Receive(burst, [20]);
        server.AssertAcks(burst.Seqnos([20]));
        Assert.Equal(1, server.Bursts.Bursts);
        Assert.Equal(1, server.Bursts.QuietBursts);
    }

    [Fact]
    public void A_lost_tail_keeps_back_what_it_may_be_partner_of()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 43, 44, 45);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([11, 12, 13, 43, 44, 45])));

        server.WaitForRound();
        server.Receive(burst, [11, 12, 13, 43, 44]);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos([11, 12, 43, 44]));

        server.WaitForRound();
        server.Receive(burst, [13, 45]);
        server.AssertAcks(burst.Seqnos([13, 45]));
    }

    [Fact]
    public void The_lost_tail_of_a_shorter_burst_keeps_back_what_could_have_a_partner_in_a_longer_one()
    {
        var burst = new Burst(100, 1 << 20, 14 * WellKnown.PageBytes, 1448);
        Assert.Equal(40, burst.Count);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 39);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos([.. Enumerable.Range(0, 7), .. Enumerable.Range(14, 25)]));
        server.Receive(burst, [39]);
        server.AssertAcks(burst.Seqnos([7, 8, 9, 10, 11, 12, 13, 39]));
    }

    [Fact]
    public void A_lost_head_keeps_back_its_partners_only()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 0, 1);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([0, 1, 32, 33])));
        server.Receive(burst, [32, 33, 0, 1]);
        server.AssertAcks(burst.Seqnos([0, 1, 32, 33]));
    }

    [Fact]
    public void A_whole_lost_burst_is_taken_when_it_comes_again()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.TakeAcks();
        server.WaitForRound();
        server.Receive(burst.Next());
        server.AssertAcks(burst.Next().Seqnos(burst.Next().All));
    }

    [Fact]
    public void Nothing_is_released_of_a_burst_of_which_one_packet_told_nothing_yet()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst, [20]);
        server.Wait(2_000_000);
        server.AssertNoAcks();
        Assert.Equal(0, server.Bursts.PayloadBytes);
    }

    [Fact]
    public void Indices_from_64_on_are_stored_and_never_acked()
    {
        var burst = Burst.Whole(payload: 524);
        var server = new BurstAcksDriver(burst.First);
        Assert.Equal(126, burst.Count);
        server.ReceiveAllBut(burst, 100);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 64).Except([4, 36])));

        server.WaitForRound();
        Assert.Equal(Arrival.RepeatToHold, server.Arrive(burst[68]));
        Assert.Equal(Arrival.RepeatToHold, server.Arrive(burst[64]));
        server.Receive(burst, [100]);
        server.AssertAcks(burst.Seqnos([4, 36]));
    }

    [Fact]
    public void Packets_below_the_running_burst_are_acked_at_once()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        foreach (int index in burst.All)
            Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[index]));
    }

    [Fact]
    public void Packets_below_the_running_burst_are_not_acked_64_or_more_above_the_previous_ones_first_seqno()
    {
        var burst = Burst.Whole(payload: 524);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.AssertAcks(burst.Seqnos(Enumerable.Range(0, 64)));
        foreach (int index in burst.All)
            Assert.Equal(index < 64 ? Arrival.RepeatToAck : Arrival.RepeatToHold, server.Arrive(burst[index]));

        var older = new BurstPacket(burst.First - 1, burst.Offset - 524, 524);
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(older));
    }

    [Fact]
    public void A_repeat_is_acked_once_its_residue_was_released_and_not_before()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 20, 40);
        Assert.Equal(Arrival.RepeatToHold, server.Arrive(burst[7]));
        server.WaitUntilQuiet();
        server.TakeAcks();
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[7]));
        Assert.Equal(Arrival.RepeatToHold, server.Arrive(burst[8]));
        server.AssertNoAcks();
    }

    [Fact]
    public void A_known_seqno_at_another_offset_or_of_another_length_is_a_conflict()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst, [3]);
        Assert.Equal(Arrival.Conflict, server.Arrive(burst[3] with { Offset = 0 }));
        Assert.Equal(Arrival.Conflict, server.Arrive(burst[3] with { Length = 1447 }));
        server.Receive(burst, [4, 5]);
        Assert.Equal(Arrival.Conflict, server.Arrive(burst[4] with { Offset = 0 }));
        Assert.Equal(Arrival.Conflict, server.Arrive(burst[4] with { Length = 1447 }));
        server.ReceiveAllBut(burst, 3, 4, 5);
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Theory]
    [InlineData(2048)]
    [InlineData(4096)]
    [InlineData(8948)]
    public void Packets_of_2048_bytes_and_more_are_acked_as_they_are_stored_because_nothing_aliases(int payload)
    {
        var burst = Burst.Whole(payload);
        var server = new BurstAcksDriver(burst.First);
        Assert.True(burst.Count <= 32);
        server.ReceiveAllBut(burst, 1);
        Assert.Equal(burst.Seqnos(burst.All.Except([1])), server.TakeAcks().Distinct().Order());
        Assert.True(server.Bursts.AcksPerPacket);
        server.Receive(burst, [1]);
        server.AssertAcks(burst.Seqnos([1]));
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[0]));
        server.Receive(burst.Next(), [3]);
        server.AssertAcks(burst.Next().Seqnos([3]));
    }

    [Fact]
    public void No_ack_is_said_twice_when_the_first_large_packet_shows_that_nothing_aliases()
    {
        var burst = Burst.Whole(payload: 8948);
        var server = new BurstAcksDriver(burst.First);
        server.Receive(burst);
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void A_client_whose_herald_had_seqno_0_gets_each_ack_at_once()
    {
        var burst = new Burst(1, 0, 16_000, 1000);
        var server = new BurstAcksDriver(burst.First, packetByPacket: true);
        foreach (int index in burst.All)
        {
            server.Receive(burst, [index]);
            server.AssertAcks(burst.Seqnos([index]));
            Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[index]));
        }

        server.Receive(burst.Next(), [0, 1, 2]);
        server.AssertAcks(burst.Next().Seqnos([0, 1, 2]));
    }

    [Fact]
    public void A_burst_without_a_stored_packet_releases_nothing_however_long_it_waits()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        foreach (int index in burst.All)
            server.Arrive(burst[index]);
        server.Wait(60_000_000);
        server.AssertNoAcks();
    }

    [Fact]
    public void Bytes_that_could_not_be_stored_make_their_packets_new_again()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        foreach (int index in burst.All)
            Assert.Equal(Arrival.New, server.Arrive(burst[index]));
        server.DropPending();
        server.Wait(500_000);
        server.AssertNoAcks();

        server.WaitForRound();
        foreach (int index in burst.All)
            Assert.Equal(Arrival.New, server.Arrive(burst[index]));
        server.StorePending();
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void A_dropped_packet_keeps_its_partner_back()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 40);
        server.Arrive(burst[40]);
        server.DropPending();
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 40])));
        server.WaitForRound();
        server.Receive(burst, [8, 40]);
        server.AssertAcks(burst.Seqnos([8, 40]));
    }

    [Theory]
    [InlineData(50_000)]
    [InlineData(5_000_000)]
    public void Storage_that_takes_long_still_releases_a_whole_burst(long storageUs)
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        foreach (int index in burst.All)
            server.Arrive(burst[index]);
        server.Wait(storageUs);
        server.AssertNoAcks();
        server.StorePending();
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void Storage_that_takes_long_still_releases_what_is_safe_of_a_burst_with_a_hole()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        foreach (int index in burst.All.Except([40]))
            server.Arrive(burst[index]);
        server.Wait(700_000);
        server.AssertNoAcks();
        server.StorePending();
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 40])));
    }

    [Fact]
    public void Seqnos_may_wrap_in_mid_burst()
    {
        var burst = Burst.Whole(payload: 1448, first: uint.MaxValue - 19);
        Assert.Equal(0u, burst[20].Seqno);
        var server = new BurstAcksDriver(burst.First);
        server.ReceiveAllBut(burst, 8, 45);
        server.WaitUntilQuiet();
        server.AssertAcks(burst.Seqnos(burst.All.Except([8, 13, 40, 45])));
        server.WaitForRound();
        server.Receive(burst, [8, 13, 40, 45]);
        server.AssertAcks(burst.Seqnos([8, 13, 40, 45]));
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[19]));
        Assert.Equal(Arrival.RepeatToAck, server.Arrive(burst[20]));
        server.Receive(burst.Next());
        server.AssertAcks(burst.Next().Seqnos(burst.All));
    }

    [Fact]
    public void The_short_first_burst_tells_the_payload()
    {
        var header = new Burst(2, 0, WellKnown.PageBytes, 1448);
        var server = new BurstAcksDriver(header.First);
        Assert.Equal(3, header.Count);
        server.Receive(header);
        server.AssertAcks(header.Seqnos(header.All));
        Assert.Equal(1448, server.Bursts.PayloadBytes);
        Assert.Equal(46, server.Bursts.MaxPackets);

        // With the payload known, one packet of the next burst is enough to place it.
        var next = header.Next();
        server.Receive(next, [20]);
        server.WaitUntilQuiet();
        server.AssertAcks(next.Seqnos([20]));
    }

    [Fact]
    public void A_message_of_another_type_is_a_burst_of_its_own()
    {
        var burst = Burst.Whole(payload: 1448, first: 5);
        var server = new BurstAcksDriver(first: 2);
        server.Bursts.OnControl(3);
        server.Bursts.OnControl(2);
        server.Bursts.OnControl(4);
        Assert.Equal(5u, server.Bursts.Base);
        server.Receive(burst);
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void A_late_message_of_another_type_moves_nothing()
    {
        var burst = Burst.Whole(payload: 1448);
        var server = new BurstAcksDriver(burst.First);
        server.Bursts.OnControl(1);
        server.Receive(burst, [0, 1]);
        server.Bursts.OnControl(burst.First + 30);
        Assert.Equal(burst.First, server.Bursts.Base);
        server.Receive(burst, burst.All.Skip(2));
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    /// <summary>Rule 1 of protocol.md, "Ack rules that are safe", straight from its words.</summary>
    private static IEnumerable<int> SafeAfterSilence(Burst burst, int[] arrived)
    {
        bool endIsKnown = arrived.Length > 1 && arrived.Contains(burst.Count - 1)
            && (burst.Bytes % burst.Payload != 0 || burst.Bytes == WellKnown.BurstBytes);
        int bound = endIsKnown ? burst.Count : (WellKnown.BurstBytes + burst.Payload - 1) / burst.Payload;
        return arrived.Length < 2
            ? []
            : burst.All.Take(WellKnown.AckWindow).Where(index =>
                Enumerable.Range(0, bound).All(other => other % WellKnown.AckBitmapBits != index % WellKnown.AckBitmapBits || arrived.Contains(other)));
    }

    private static Gen<LossyDump> LossyDumps(int payload) =>
        from seed in Gen.Choose(0, int.MaxValue)
        from loss in Gen.Elements(0, 1, 5, 10, 20)
        from duplicate in Gen.Elements(0, 5, 30)
        from reorder in Gen.Elements(0, 5, 50)
        from slow in Gen.Elements(true, false)
        select new LossyDump(payload, seed, loss, duplicate, reorder, slow);
}
