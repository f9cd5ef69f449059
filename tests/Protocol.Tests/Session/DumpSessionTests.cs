using System.Text;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed partial class DumpSessionTests
{
    [Fact]
    public void A_herald_is_acked_and_opens_nothing_but_a_slot()
    {
        var server = new SessionDriver();
        Assert.Equal([null], server.Receive(ClientMessage.Herald()));
        server.AssertAcks(1u);
        Assert.Equal(SessionPhase.HalfOpen, server.Session.Phase);
        Assert.True(server.Session.HeraldPath.IsEmpty);
    }

    [Fact]
    public void A_repeated_herald_is_acked_again_before_and_after_data()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(dump.Herald);
        server.Receive(dump.Herald);
        server.AssertAcks(1, 1);
        server.Receive(dump.Bursts[0]);
        server.TakeAcks();
        server.Receive(dump.Herald);
        server.AssertAcks(1u);
        server.Receive(dump.Bursts[1]);
        Assert.Equal(46, server.TakeAcks().Length);
    }

    [Fact]
    public void A_herald_path_in_several_packets_is_assembled_by_offset_in_any_order()
    {
        var server = new SessionDriver();
        server.Receive(ClientMessage.Herald("racks/", seqno: 1));
        server.Receive(ClientMessage.Herald("/host\0", seqno: 3, offset: 8), ClientMessage.Herald("r7", seqno: 2, offset: 6));
        server.Receive(ClientMessage.Herald("r7", seqno: 2, offset: 6));
        server.AssertAcks(1, 2, 2, 3);
        Assert.Equal("racks/r7/host", Encoding.UTF8.GetString(server.Session.HeraldPath));

        var burst = Burst.Whole(1448, first: 4);
        server.Receive(burst.All.Select(i => ClientMessage.Vmcore(burst[i].Seqno, burst[i].Offset, new byte[burst[i].Length])));
        server.AssertAcks(burst.Seqnos(burst.All));
    }

    [Fact]
    public void A_herald_path_is_bounded()
    {
        var server = new SessionDriver();
        string longest = new('p', server.Options.MaxPathBytes);
        Assert.Equal([RejectReason.OversizedPath], server.Receive(ClientMessage.Herald(longest + "p")));
        Assert.Equal([RejectReason.OversizedPath], server.Receive(ClientMessage.Herald("p", offset: (ulong)longest.Length)));
        Assert.Equal([RejectReason.OversizedPath], server.Receive(ClientMessage.Herald("p", offset: ulong.MaxValue)));
        Assert.True(server.Session.HeraldPath.IsEmpty);
        server.AssertNoAcks();
        Assert.Equal([null], server.Receive(ClientMessage.Herald(longest)));
        Assert.Equal(longest.Length, server.Session.HeraldPath.Length);
        Assert.Equal(3, server.Session.Counters.Rejected);
    }

    [Fact]
    public void A_path_that_comes_with_a_late_herald_changes_nothing()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(ClientMessage.Herald("one"));
        server.Receive(dump.Bursts[0]);
        server.Receive(ClientMessage.Herald("other"));
        Assert.Equal("one", Encoding.UTF8.GetString(server.Session.HeraldPath));
    }

    [Fact]
    public void Every_burst_is_written_where_it_belongs_and_acked_whole()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(dump.Herald);
        server.TakeAcks();
        foreach (var burst in dump.Bursts)
        {
            server.Receive(burst);
            server.AssertAcks(burst.Select(packet => packet.Seqno));
        }

        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
        Assert.Equal((ulong)dump.Content.Length, server.Session.CoveredBytes);
        Assert.Equal(3, server.Session.Counters.Bursts);
        Assert.Equal(dump.Content.Length, server.Session.Counters.PayloadBytes);
    }

    [Fact]
    public void A_message_of_unknown_type_is_refused()
    {
        var server = new SessionDriver();
        Assert.Equal([RejectReason.UnknownType, RejectReason.UnknownType], server.Receive(
            new ClientMessage(0, 2, 0, []), new ClientMessage((MessageType)6, 2, 0, [])));
        server.AssertNoAcks();
        Assert.Equal(SessionPhase.HalfOpen, server.Session.Phase);
    }

    [Fact]
    public void Offsets_beyond_the_largest_dump_are_refused()
    {
        ulong max = 1 << 20;
        var server = new SessionDriver(new() { MaxDumpBytes = max });
        byte[] bytes = new byte[100];
        foreach (ulong offset in (ulong[])[max - 99, max, max + 1, 1ul << 63, ulong.MaxValue - 99, ulong.MaxValue])
            Assert.Equal([RejectReason.OffsetOutOfRange], server.Receive(ClientMessage.Vmcore(2, offset, bytes)));
        Assert.Equal(SessionPhase.HalfOpen, server.Session.Phase);
        Assert.Equal([null], server.Receive(ClientMessage.Vmcore(2, max - 100, bytes)));
    }

    [Fact]
    public void More_ranges_than_are_tracked_are_refused()
    {
        var server = new SessionDriver(new() { MaxRanges = 10 }, heraldSeqno: 0);
        for (uint i = 0; i < 10; i++)
            Assert.Equal([null], server.Receive(ClientMessage.Vmcore(1 + i, i * 20, new byte[10])));
        server.TakeAcks();
        Assert.Equal([RejectReason.TooFragmented], server.Receive(ClientMessage.Vmcore(11, 1000, new byte[10])));
        server.AssertNoAcks();
        Assert.Equal(100ul, server.Session.CoveredBytes);
    }

    [Fact]
    public void More_ranges_than_are_tracked_are_refused_within_one_batch_too()
    {
        var server = new SessionDriver(new() { MaxRanges = 10 }, heraldSeqno: 0);
        var rejected = server.Receive(Enumerable.Range(0, 30).Select(i => ClientMessage.Vmcore(1 + (uint)i, (ulong)i * 20, new byte[10])));
        Assert.Equal(20, rejected.Count(reason => reason == RejectReason.TooFragmented));
    }

    [Fact]
    public void A_stray_and_a_conflicting_seqno_are_refused_and_not_acked()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Bursts[1][..10]);
        server.TakeAcks();
        Assert.Equal([RejectReason.StraySeqno, RejectReason.ConflictingSeqno], server.Receive(
            ClientMessage.Vmcore(50_000, 0, new byte[1448]),
            dump.Bursts[1][3] with { Offset = 5 }));
        server.AssertNoAcks();
    }

    [Fact]
    public void A_repeat_with_the_same_bytes_is_harmless()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(dump.Herald);
        server.Receive([.. dump.Bursts[0], .. dump.Bursts[0]]);
        server.TakeAcks();
        server.Receive(dump.Bursts[0]);
        server.AssertAcks(2, 3, 4);
        Assert.Equal(6, server.Session.Counters.Retransmissions);
        server.Session.End(EndReason.MachineCrashed);
        Assert.Empty(server.Summary.Damaged);
    }

    [Fact]
    public void A_repeat_with_other_bytes_marks_its_range_damaged_and_the_first_one_stays()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        var packet = dump.Bursts[1][7];
        server.Receive(packet with { Payload = new byte[1448] });
        server.AssertAcks(packet.Seqno);
        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));

        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Damaged, server.Summary.Status);
        Assert.Equal([new(packet.Offset, packet.Offset + 1448)], server.Summary.Damaged);
    }

    [Fact]
    public void Two_packets_of_one_batch_that_disagree_are_damage_too()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        var packet = dump.Bursts[0][1];
        server.Receive([.. dump.Bursts[0], packet with { Payload = new byte[1448] }]);
        Assert.Equal(dump.Content[..4096], server.Bytes(0, 4096));
        server.Session.End(EndReason.MachineCrashed);
        Assert.Equal([new(packet.Offset, packet.Offset + 1448)], server.Summary.Damaged);
    }

    [Fact]
    public void Another_seqno_at_the_same_offset_wins_and_is_noted_as_overwritten()
    {
        var server = new SessionDriver(heraldSeqno: 0);
        server.Receive(ClientMessage.Vmcore(1, 0, Filled(1000, 1)));
        server.Receive(ClientMessage.Vmcore(2, 500, Filled(1000, 2)));
        server.AssertAcks(1, 2);
        Assert.Equal([.. Filled(500, 1), .. Filled(1000, 2)], server.Bytes(0, 1500));

        // What the first one had sent is no longer there to be compared with.
        server.Receive(ClientMessage.Vmcore(1, 0, Filled(1000, 1)));
        server.AssertAcks(1u);
        server.Session.End(EndReason.MachineCrashed);
        Assert.Equal([new(500, 1500)], server.Summary.Overwritten);
        Assert.Empty(server.Summary.Damaged);
    }

    [Fact]
    public void Another_seqno_at_the_same_offset_in_the_same_batch_is_noted_too()
    {
        var server = new SessionDriver(heraldSeqno: 0);
        server.Receive(ClientMessage.Vmcore(1, 0, Filled(1000, 1)), ClientMessage.Vmcore(2, 0, Filled(1000, 2)));
        server.AssertAcks(1, 2);
        Assert.Equal(Filled(1000, 2), server.Bytes(0, 1000));
        server.Receive(ClientMessage.Vmcore(1, 0, Filled(1000, 1)));
        server.Session.End(EndReason.MachineCrashed);
        Assert.Equal([new(0, 1000)], server.Summary.Overwritten);
        Assert.Empty(server.Summary.Damaged);
    }

    [Fact]
    public void Nothing_that_could_not_be_written_is_acked_and_the_retransmission_is_taken()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.TakeAcks();
        server.ReceiveWhileDiskIsFull(dump.Bursts[1], writesDone: 10);
        Assert.Equal("No space left on device", server.Session.WriteError);
        Assert.Equal(4096ul + 10 * 1448, server.Session.CoveredBytes);
        server.Wait(15_000);
        Assert.DoesNotContain(server.TakeAcks(), seqno => seqno >= dump.Bursts[1][10].Seqno);

        server.Wait(1_000_000);
        server.Receive(dump.Bursts[1]);
        Assert.Null(server.Session.WriteError);
        Assert.Equal(dump.Content[..(4096 + 65536)], server.Bytes(0, 4096 + 65536));
        Assert.Contains(dump.Bursts[1][^1].Seqno, server.TakeAcks());
    }

    [Fact]
    public void A_record_that_could_not_be_written_is_not_acked_and_not_believed()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        dump.SendData(server);
        server.ReceiveWhileDiskIsFull([dump.Kdh]);
        server.AssertNoAcks();
        Assert.Null(server.Session.Header);
        server.Receive(dump.Kdh);
        server.AssertAcks(dump.KdhSeqno);
        Assert.NotNull(server.Session.Header);
    }

    [Fact]
    public void A_repeat_is_not_acked_while_the_disk_is_full()
    {
        var server = new SessionDriver();
        var dump = new SampleDump();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.TakeAcks();
        server.ReceiveWhileDiskIsFull([.. dump.Bursts[0], dump.Bursts[1][0]]);
        server.AssertNoAcks();
    }

    [Fact]
    public void A_repeat_within_the_batch_that_could_not_be_written_is_not_acked_either()
    {
        var server = new SessionDriver(heraldSeqno: 0);
        server.Receive(ClientMessage.Vmcore(1, 0, Filled(1000, 1)));
        server.TakeAcks();
        var packet = ClientMessage.Vmcore(2, 0, Filled(1000, 2));
        server.ReceiveWhileDiskIsFull([packet, packet]);
        server.AssertNoAcks();
        server.Receive(packet);
        server.AssertAcks(2u);
        Assert.Equal(Filled(1000, 2), server.Bytes(0, 1000));
    }

    [Fact]
    public void The_header_is_taken_before_the_data_as_well_as_after_it()
    {
        var dump = new SampleDump(heraldSeqno: 0);
        var server = new SessionDriver(heraldSeqno: 0);
        server.Receive(dump.Kdh);
        server.Receive(dump.Bursts[2]);
        server.Receive(dump.Bursts[0]);
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[1]);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
    }

    [Fact]
    public void Everything_may_come_in_one_batch()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive([dump.Herald, .. dump.Bursts.SelectMany(burst => burst), dump.Kdh, dump.Finished]);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.DoesNotContain(dump.Finished.Seqno, server.TakeAcks());
    }

    [Fact]
    public void A_repeated_header_is_acked_and_what_the_first_one_said_stays()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(dump.Kdh);
        server.Receive(dump.Kdh);
        server.Receive(ClientMessage.Kdh(dump.KdhSeqno, new SampleDump(bytes: 8192).Header));
        server.AssertAcks(dump.KdhSeqno, dump.KdhSeqno, dump.KdhSeqno);
        Assert.Equal((ulong)dump.Content.Length, server.Session.Header!.DumpLength);
    }

    [Fact]
    public void A_header_with_bad_parity_is_stored_and_acked_and_replaced_by_a_good_one()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(ClientMessage.Kdh(dump.KdhSeqno, WithBadParity(dump.Header)));
        server.AssertAcks(dump.KdhSeqno);
        Assert.False(server.Session.Header!.IsValid);
        server.Receive(dump.Kdh);
        Assert.True(server.Session.Header!.IsValid);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(513)]
    public void A_header_of_the_wrong_size_is_acked_and_is_none(int length)
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        server.Receive(ClientMessage.Kdh(dump.KdhSeqno, new byte[length]));
        server.AssertAcks(dump.KdhSeqno);
        Assert.Null(server.Session.Header);
        server.Receive(dump.Finished);
        Assert.Equal(DumpStatus.Headerless, server.Summary.Status);
    }

    [Fact]
    public void A_wrong_header_in_the_same_batch_does_not_displace_a_good_one()
    {
        foreach (byte[] wrong in (byte[][])[new byte[100], new byte[512]])
        {
            var dump = new SampleDump();
            var server = new SessionDriver();
            dump.SendData(server);
            server.Receive(dump.Kdh, ClientMessage.Kdh(dump.KdhSeqno, wrong));
            Assert.True(server.Session.Header is { IsValid: true });
        }
    }

    [Fact]
    public void A_key_in_three_packets_is_assembled_by_offset()
    {
        var server = new SessionDriver();
        byte[] key = GoldenFiles.Read("key-none-aes.bin");
        server.Receive(ClientMessage.Herald());
        server.Receive(ClientMessage.Key(3, 1448, key[1448..2896]), ClientMessage.Key(2, 0, key[..1448]), ClientMessage.Key(4, 2896, key[2896..]));
        server.Receive(ClientMessage.Key(4, 2896, key[2896..]));
        server.AssertAcks(1, 2, 3, 4, 4);
        server.Session.End(EndReason.MachineCrashed);
        Assert.Equal(key, server.Summary.Key!.Value.ToArray());
    }

    [Fact]
    public void An_oversized_key_is_refused()
    {
        var server = new SessionDriver();
        ulong max = (ulong)server.Options.MaxKeyBytes;
        foreach (ulong offset in (ulong[])[max - 99, max + 1, ulong.MaxValue - 50, ulong.MaxValue])
            Assert.Equal([RejectReason.OversizedKey], server.Receive(ClientMessage.Key(2, offset, new byte[100])));
        server.AssertNoAcks();
        Assert.Equal([null], server.Receive(ClientMessage.Key(2, max - 100, new byte[100])));
    }

    [Fact]
    public void A_client_that_waits_for_each_ack_gets_each_at_once_and_its_FINISHED_with_seqno_0()
    {
        var dump = new SampleDump(bytes: 10_000, payload: 1000, heraldSeqno: 0);
        var server = new SessionDriver(heraldSeqno: 0);
        server.Receive(dump.Herald);
        server.AssertAcks(0u);
        foreach (var packet in dump.Bursts.SelectMany(burst => burst))
        {
            server.Receive(packet);
            server.AssertAcks(packet.Seqno);
        }

        server.Receive(ClientMessage.Finished(0));
        Assert.Equal(DumpStatus.Headerless, server.Summary.Status);
        server.Commit();
        server.AssertAcks(0u);
    }

    [Fact]
    public void A_whole_golden_wire_capture_is_taken_packet_for_packet()
    {
        var server = new SessionDriver();
        var acked = new HashSet<uint>();
        var sent = new HashSet<uint>();
        foreach (var datagram in Client.GoldenCapture.Read().Where(datagram => datagram.IsFromClient))
        {
            Assert.True(MessageHeader.TryRead(datagram.Payload, out var header));
            // The capture leaves out the middle of the dump; its last part is a burst that this session cannot place.
            if (header.Seqno > 50)
                break;
            Assert.Equal([null], server.Receive(new ClientMessage(header.Type, header.Seqno, header.Offset, datagram.Payload[MessageHeader.SizeBytes..])));
            sent.Add(header.Seqno);
            acked.UnionWith(server.TakeAcks());
        }

        Assert.Equal(50, sent.Count);
        Assert.Equal(sent, acked);
        Assert.Equal(4096ul + 65536, server.Session.CoveredBytes);
        Assert.Equal("minidump FreeBSD/amd64", Encoding.ASCII.GetString(server.Bytes(0, 22)));
    }

    private static byte[] Filled(int length, byte value) => [.. Enumerable.Repeat(value, length)];

    private static byte[] WithBadParity(byte[] header)
    {
        byte[] bad = [.. header];
        bad[511] ^= 1;
        return bad;
    }
}
