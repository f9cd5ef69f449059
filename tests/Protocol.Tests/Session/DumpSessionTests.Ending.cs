using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>What a dump comes to, and when FINISHED is acked.</summary>
public sealed partial class DumpSessionTests
{
    [Fact]
    public void FINISHED_of_a_complete_dump_is_acked_once_it_is_durable_and_again_when_repeated()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendAll(server);
        Assert.Equal(SessionPhase.Ending, server.Session.Phase);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Equal(EndReason.Finished, server.Summary.Reason);
        Assert.Equal((ulong)dump.Content.Length, server.Summary.LengthBytes);
        Assert.Equal((ulong)dump.Content.Length, server.Summary.CoveredBytes);
        Assert.Empty(server.Summary.Missing);
        Assert.False(server.Summary.Relocated);
        Assert.Equal(1448, server.Summary.PayloadBytes);
        Assert.Null(server.Summary.Error);
        server.AssertNoAcks();

        server.Wait(2_000_000);
        server.Receive(dump.Finished);
        server.AssertNoAcks();
        server.Commit();
        server.AssertAcks(dump.Finished.Seqno);
        for (int repeat = 0; repeat < 11; repeat++)
        {
            server.Wait(1_000_000);
            server.Receive(dump.Finished);
            server.AssertAcks(dump.Finished.Seqno);
        }

        // Repeats do not prolong the linger, or a hostile client could keep the session for ever.
        server.Wait(server.Options.LingerUs - 11_000_000 - 1);
        Assert.Equal(SessionPhase.Lingering, server.Session.Phase);
        server.Wait(1);
        Assert.Equal(SessionPhase.Closed, server.Session.Phase);
        Assert.Equal(long.MaxValue, server.Session.WakeUs);
    }

    [Fact]
    public void Messages_after_the_end_are_refused_but_FINISHED()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendAll(server);
        server.Commit();
        server.TakeAcks();
        Assert.Equal([RejectReason.AfterEnd, RejectReason.AfterEnd, RejectReason.AfterEnd], server.Receive(dump.Herald, dump.Bursts[0][0], dump.Kdh));
        server.AssertNoAcks();
        Assert.True(server.Session.Writes.IsEmpty);
    }

    [Fact]
    public void A_dump_that_could_not_be_made_durable_never_gets_its_FINISHED_acked()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendAll(server);
        server.FailCommit();
        server.Receive(dump.Finished);
        server.AssertNoAcks();
    }

    [Fact]
    public void Holes_are_reported_exactly_and_FINISHED_is_not_acked()
    {
        var dump = new SampleDump(heraldSeqno: 0);
        var server = new SessionDriver(heraldSeqno: 0);
        ClientMessage[] packets = [.. dump.Bursts.SelectMany(burst => burst)];
        int[] lost = [0, 10, 11, 30, packets.Length - 1];
        server.Receive(packets.Where((_, index) => !lost.Contains(index)));
        server.Receive(dump.Kdh);
        server.TakeAcks();
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
        Assert.Equal(
            [Range(packets[0], packets[0]), Range(packets[10], packets[11]), Range(packets[30], packets[30]), Range(packets[^1], packets[^1])],
            server.Summary.Missing);
        Assert.Equal(4, server.Summary.MissingRanges);
        Assert.Equal((ulong)lost.Sum(index => packets[index].Payload.Length), server.Summary.MissingBytes);
        Assert.Equal((ulong)dump.Content.Length - server.Summary.MissingBytes, server.Summary.CoveredBytes);
        server.Commit();
        server.Receive(dump.Finished);
        server.AssertNoAcks();
    }

    [Fact]
    public void A_dump_longer_than_announced_is_complete_and_ends_where_announced()
    {
        // Compressed dumps arrive rounded up to the block size.
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        var shorter = KernelDumpHeader.Create("amd64", (ulong)dump.Content.Length - 777, DateTimeOffset.UnixEpoch, 0, 4096, DumpCompression.Gzip, "", "", "");
        server.Receive(ClientMessage.Kdh(dump.KdhSeqno, shorter));
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Equal((ulong)dump.Content.Length - 777, server.Summary.LengthBytes);
    }

    [Fact]
    public void A_bad_header_makes_a_contiguous_dump_headerless_and_its_FINISHED_is_acked()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(ClientMessage.Kdh(dump.KdhSeqno, WithBadParity(dump.Header)));
        server.TakeAcks();
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Headerless, server.Summary.Status);
        Assert.Equal((ulong)dump.Content.Length, server.Summary.LengthBytes);
        Assert.False(server.Summary.Header!.IsValid);
        server.Commit();
        server.AssertAcks(dump.Finished.Seqno);
    }

    [Fact]
    public void A_headerless_dump_with_a_hole_is_incomplete()
    {
        var dump = new SampleDump(heraldSeqno: 0);
        var server = new SessionDriver(heraldSeqno: 0);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Bursts[2]);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
        Assert.Equal([new(4096, 4096 + 65536)], server.Summary.Missing);
    }

    [Fact]
    public void A_headerless_dump_whose_client_fell_silent_is_incomplete()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Wait(server.Options.ClientTimeoutUs);
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
        Assert.Equal(EndReason.ClientTimedOut, server.Summary.Reason);
        Assert.Empty(server.Summary.Missing);
    }

    [Fact]
    public void A_damaged_dump_without_header_is_damaged()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(dump.Bursts[1][0] with { Payload = new byte[1448] });
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Damaged, server.Summary.Status);
    }

    [Fact]
    public void An_encrypted_dump_without_its_key_is_incomplete()
    {
        var dump = new SampleDump(keyBytes: 4096);
        var server = new SessionDriver();
        dump.SendAll(server);
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
        Assert.NotNull(server.Summary.Error);
        server.Commit();
        server.AssertNoAcks();
    }

    [Fact]
    public void An_encrypted_dump_with_a_part_of_its_key_is_incomplete()
    {
        var dump = new SampleDump(keyBytes: 4096);
        var server = new SessionDriver();
        byte[] key = GoldenFiles.Read("key-none-aes.bin");
        dump.SendData(server);
        server.Receive(dump.Kdh);
        server.Receive(ClientMessage.Key(dump.KdhSeqno + 1, 0, key[..1448]), ClientMessage.Key(dump.KdhSeqno + 3, 2896, key[2896..]));
        server.Receive(ClientMessage.Finished(dump.KdhSeqno + 4));
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
        Assert.Equal([new(1448, 2896)], server.Summary.KeyMissing);
    }

    [Fact]
    public void A_key_whose_store_failed_is_not_counted()
    {
        var dump = new SampleDump(keyBytes: 4096);
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(dump.Kdh);
        server.ReceiveWhileDiskIsFull([ClientMessage.Key(dump.KdhSeqno + 1, 0, new byte[4096])]);
        server.Receive(ClientMessage.Finished(dump.KdhSeqno + 2));
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
    }

    [Fact]
    public void The_key_may_come_after_the_header_as_12_era_kernels_send_it()
    {
        var dump = new SampleDump(keyBytes: 4096);
        var server = new SessionDriver();
        byte[] key = GoldenFiles.Read("key-none-chacha.bin");
        dump.SendData(server);
        server.Receive(dump.Kdh);
        for (int at = 0; at < key.Length; at += 1448)
            server.Receive(ClientMessage.Key(dump.KdhSeqno + 1 + (uint)(at / 1448), (ulong)at, key[at..Math.Min(at + 1448, key.Length)]));
        server.Receive(ClientMessage.Finished(dump.KdhSeqno + 4));
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Equal(key, server.Summary.Key!.Value.ToArray());
    }

    [Fact]
    public void Fifteen_silent_seconds_after_header_and_all_bytes_end_the_dump_as_complete()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(dump.Kdh);
        server.Wait(server.Options.SilentAfterHeaderUs - 1);
        Assert.Equal(SessionPhase.Receiving, server.Session.Phase);
        server.Wait(1);
        Assert.Equal(SessionPhase.Ending, server.Session.Phase);
        Assert.Equal(EndReason.SilentAfterHeader, server.Summary.Reason);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        server.TakeAcks();

        // FINISHED comes after all.
        server.Receive(dump.Finished);
        server.AssertNoAcks();
        server.Commit();
        server.AssertAcks(dump.Finished.Seqno);
    }

    [Fact]
    public void Silence_after_a_header_with_bytes_missing_is_waited_out()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Kdh);
        server.Wait(server.Options.ClientTimeoutUs - 1);
        Assert.Equal(SessionPhase.Receiving, server.Session.Phase);
        server.Wait(1);
        Assert.Equal(EndReason.ClientTimedOut, server.Summary.Reason);
        Assert.Equal([new(4096, (ulong)dump.Content.Length)], server.Summary.Missing);
    }

    [Fact]
    public void A_refused_packet_does_not_keep_a_silent_client_alive()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Wait(server.Options.ClientTimeoutUs - 1);
        server.Receive(new ClientMessage((MessageType)99, 7, 0, []));
        server.Wait(1);
        Assert.Equal(SessionPhase.Ending, server.Session.Phase);
    }

    [Fact]
    public void A_herald_that_nothing_follows_is_forgotten_after_thirty_seconds()
    {
        var server = new SessionDriver();
        server.Receive(ClientMessage.Herald());
        server.Wait(10_000_000);
        server.Receive(ClientMessage.Herald());
        server.Wait(29_999_999);
        Assert.Equal(SessionPhase.HalfOpen, server.Session.Phase);
        server.Wait(1);
        Assert.Equal(SessionPhase.Closed, server.Session.Phase);
        Assert.Null(server.Session.Summary);
    }

    [Fact]
    public void A_FINISHED_right_after_the_herald_is_acked_because_nothing_was_promised()
    {
        var server = new SessionDriver();
        server.Receive(ClientMessage.Herald());
        server.TakeAcks();
        server.Receive(ClientMessage.Finished(2));
        server.AssertAcks(2u);
        server.Receive(ClientMessage.Finished(2));
        server.AssertAcks(2u);
        Assert.Null(server.Session.Summary);
        server.Wait(server.Options.LingerUs);
        Assert.Equal(SessionPhase.Closed, server.Session.Phase);
    }

    [Fact]
    public void A_client_that_gives_up_on_a_full_disk_times_out_as_a_write_error()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.TakeAcks();
        for (int send = 0; send < 12; send++)
        {
            server.ReceiveWhileDiskIsFull(dump.Bursts[1]);
            server.Wait(1_000_000);
            server.AssertNoAcks();
        }

        server.Wait(server.Options.ClientTimeoutUs);
        Assert.Equal(EndReason.WriteError, server.Summary.Reason);
        Assert.Equal("No space left on device", server.Summary.Error);
        Assert.Equal(DumpStatus.Incomplete, server.Summary.Status);
        Assert.Equal(4096ul, server.Summary.LengthBytes);
    }

    [Fact]
    public void A_write_error_is_not_forgotten_over_packets_that_write_nothing()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.ReceiveWhileDiskIsFull(dump.Bursts[1]);
        server.Receive(new ClientMessage((MessageType)99, 7, 0, []));
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.Wait(server.Options.ClientTimeoutUs);
        Assert.Equal(EndReason.WriteError, server.Summary.Reason);
    }

    [Fact]
    public void Ending_twice_changes_nothing()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Session.End(EndReason.Superseded);
        var summary = server.Summary;
        server.Session.End(EndReason.InternalError, "again");
        Assert.Same(summary, server.Summary);
        Assert.Equal(EndReason.Superseded, summary.Reason);
        server.Commit();
        server.Session.End(EndReason.InternalError);
        Assert.Equal(SessionPhase.Lingering, server.Session.Phase);
        Assert.Same(summary, server.Summary);
    }

    [Fact]
    public void Ending_before_any_data_closes_without_a_summary()
    {
        var server = new SessionDriver();
        server.Receive(ClientMessage.Herald());
        server.Session.End(EndReason.MachineCrashed);
        Assert.Equal(SessionPhase.Closed, server.Session.Phase);
        Assert.Null(server.Session.Summary);
        server.Session.End(EndReason.MachineCrashed);
        Assert.Equal(SessionPhase.Closed, server.Session.Phase);
    }

    [Theory]
    [InlineData(1448)]
    [InlineData(8948)]
    public void A_header_page_at_a_stale_offset_is_moved_to_offset_0(int payload)
    {
        const ulong StaleOffset = 48_000;
        var dump = new SampleDump(payload: payload);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0].Select(packet => packet with { Offset = packet.Offset + StaleOffset }));
        server.Receive(dump.Bursts[1]);
        server.Receive(dump.Bursts[2]);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.True(server.Summary.Relocated);
        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
        var overwritten = Assert.Single(server.Summary.Overwritten);
        Assert.True(overwritten.Start <= StaleOffset && StaleOffset + 4096 <= overwritten.End);
    }

    [Fact]
    public void Stale_bytes_before_a_dump_that_then_begins_at_0_are_overwritten_and_not_moved()
    {
        var dump = new SampleDump(heraldSeqno: 1);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        var stale = dump.Cut(2, 40_960, Filled(4096, 0x55));
        server.Receive(stale);
        uint shift = (uint)stale.Length;
        foreach (var burst in dump.Bursts)
            server.Receive(burst.Select(packet => packet with { Seqno = packet.Seqno + shift }));
        server.Receive(dump.Kdh with { Seqno = dump.KdhSeqno + shift });
        server.Receive(ClientMessage.Finished(dump.KdhSeqno + shift + 1));
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.False(server.Summary.Relocated);
        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
        Assert.NotEmpty(server.Summary.Overwritten);
        Assert.Empty(server.Summary.Damaged);
    }

    [Fact]
    public void A_header_page_that_could_not_be_moved_is_moved_with_the_next_try()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0].Select(packet => packet with { Offset = packet.Offset + 48_000 }));
        server.Receive(dump.Bursts[1]);
        server.Receive(dump.Bursts[2]);
        server.TakeAcks();
        server.ReceiveWhileDiskIsFull([dump.Kdh]);
        server.AssertNoAcks();
        server.Receive(dump.Kdh);
        server.AssertAcks(dump.KdhSeqno);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(49_448)]
    [InlineData(80_000)]
    public void Packets_in_the_batch_of_a_header_do_not_change_what_it_moves(ulong offset)
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        byte[] first = Filled(1448, 0x55), second = Filled(1448, 0x66);
        server.Receive(dump.Herald);
        server.Receive(ClientMessage.Vmcore(2, 48_000, first), dump.Kdh, ClientMessage.Vmcore(3, offset, second));
        Assert.Equal(first, server.Bytes(48_000, first.Length));
        Assert.Equal(offset == 0 ? second : first, server.Bytes(0, first.Length));
        Assert.Equal(second, server.Bytes(offset, second.Length));
    }

    [Fact]
    public void A_dump_whose_first_packet_was_lost_at_first_has_nothing_to_move()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0][1..]);
        server.Wait(1_000_000);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Bursts[1]);
        server.Receive(dump.Bursts[2]);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.False(server.Summary.Relocated);
        Assert.Empty(server.Summary.Overwritten);
    }

    private static ByteRange Range(ClientMessage first, ClientMessage last) => new(first.Offset, last.Offset + (ulong)last.Payload.Length);
}
