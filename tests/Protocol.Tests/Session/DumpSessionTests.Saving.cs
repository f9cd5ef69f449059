using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>Another process continues what one left.</summary>
public sealed partial class DumpSessionTests
{
    /// <summary>Kernels whose ack bitmap wraps, whose bursts cannot alias, and a client that sends one packet at a time, on a network that loses.</summary>
    [Theory]
    [InlineData(1448, 1u)]
    [InlineData(524, 1u)]
    [InlineData(8948, 1u)]
    [InlineData(1448, 0u)]
    public void Whenever_the_process_is_killed_the_dump_comes_out_the_same(int payload, uint heraldSeqno) =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var dump = new SampleDump(4096 + 2 * 65536 + 20480, payload, heraldSeqno, keyBytes: 512);
            var server = new SessionDriver(heraldSeqno: heraldSeqno);
            double loss = random.Next(3) switch { 0 => 0, 1 => 0.01, _ => 0.1 };
            byte[] key = new byte[512];
            random.NextBytes(key);

            SendWithKills(server, [dump.Herald], random, loss, killsFrom: 1);
            foreach (var burst in dump.Bursts)
            {
                if (heraldSeqno == 0)
                {
                    foreach (var packet in burst)
                        SendWithKills(server, [packet], random, loss);
                }
                else
                {
                    SendWithKills(server, burst, random, loss);
                }
            }

            var keyMessage = ClientMessage.Key(dump.KdhSeqno, 0, key);
            SendWithKills(server, [keyMessage], random, loss);
            SendWithKills(server, [ClientMessage.Kdh(dump.KdhSeqno + 1, dump.Header)], random, loss);
            server.Restart();
            server.Receive(ClientMessage.Finished(dump.KdhSeqno + 2));

            Assert.Equal(DumpStatus.Complete, server.Summary.Status);
            Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
            Assert.Equal(key, server.Summary.Key!.Value.ToArray());
            Assert.Empty(server.Summary.Damaged);
            Assert.Empty(server.Summary.Overwritten);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(150));

    /// <summary>A save is a system call; of a dump that arrives in order the file's length tells the next process as much.</summary>
    [Theory]
    [InlineData(524)]
    [InlineData(1408)]
    [InlineData(1448)]
    [InlineData(8948)]
    public void A_dump_in_order_is_saved_once_in_16_MiB_and_after_each_ack_another_process_knows_as_much(int payload)
    {
        const int Bursts = 600;
        var random = new Random(payload);
        var session = new DumpSession(new(), heraldSeqno: 1, nowUs: 0);
        byte[] bytes = new byte[payload], state = new byte[DumpSession.StateBytes];
        uint seqno = 2;
        ulong offset = 0;
        int saves = 0;
        for (int burst = 0; burst < Bursts; burst++)
        {
            for (int left = WellKnown.BurstBytes; left > 0;)
            {
                // Some of the burst are in one batch, the others in the next ones.
                for (int batch = random.Next(1, 60); batch > 0 && left > 0; batch--)
                {
                    var packet = bytes.AsSpan(0, Math.Min(left, payload));
                    Assert.Null(session.OnMessage(new(MessageType.Vmcore, seqno++, offset, (uint)packet.Length), packet, 0, nowUs: burst));
                    left -= packet.Length;
                    offset += (ulong)packet.Length;
                }

                Assert.False(session.WritesApart(session.ContiguousBytes));
                session.OnStored(burst);
                if (session.Acks.Length == 0)
                    continue;

                if (!session.TryLeaveToLength(offset))
                {
                    session.Save(state, offset);
                    session.OnSaved(state);
                    saves++;
                }

                session.ClearAcks();
                var next = DumpSession.Restore(new(), new() { HeraldSeqno = 1, State = state, FileLength = offset }, nowUs: burst);
                Assert.Equal((offset, session.ExpectedFirst, session.ExpectedCount, session.Counters),
                    (next.ContiguousBytes, next.ExpectedFirst, next.ExpectedCount, next.Counters));
            }
        }

        // The first bursts are a kernel's that may be told by none before them.
        Assert.InRange(saves, 3, 3 + Bursts * WellKnown.BurstBytes / (16 << 20) + 3);
    }

    [Fact]
    public void A_first_burst_at_a_stale_offset_is_moved_although_its_place_was_overwritten_before_the_kill()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        // The header page comes where an earlier dump ended, which is in the midst of this one.
        ulong stale = 4096 + 16384;
        server.Receive(dump.Cut(2, stale, dump.Content.AsSpan(0, 4096)));
        foreach (var burst in dump.Bursts.Skip(1))
            server.Receive(burst);

        server.Restart();
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        Assert.True(server.Summary.Relocated);
        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Equal(dump.Content, server.Bytes(0, dump.Content.Length));
    }

    /// <summary>Of packets that are acked alone: what a process did not see itself it must still tell the next one.</summary>
    [Fact]
    public void A_packet_that_is_repeated_two_processes_later_is_no_overwrite()
    {
        var dump = new SampleDump(4096 + 65536, 8948);
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        var burst = dump.Bursts[1];
        server.Receive(burst[0], burst[2], burst[3], burst[5], burst[6], burst[7]);
        server.Restart();
        server.Receive(burst[4]);
        server.Restart();

        server.Receive(burst[1], burst[6]);
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        Assert.Equal(DumpStatus.Complete, server.Summary.Status);
        Assert.Empty(server.Summary.Overwritten);
    }

    [Fact]
    public void Damage_and_overwrites_outlive_the_process()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        dump.SendData(server);
        byte[] other = [.. dump.Bursts[1][0].Payload];
        other[0] ^= 1;
        server.Receive(dump.Bursts[1][0] with { Payload = other });

        server.Restart();
        server.Receive(dump.Kdh);
        server.Receive(dump.Finished);

        Assert.Equal(DumpStatus.Damaged, server.Summary.Status);
        Assert.Equal(new ByteRange(4096, 4096 + 1448), Assert.Single(server.Summary.Damaged));
    }

    [Fact]
    public void That_it_supersedes_an_older_dump_outlives_the_process()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        server.Receive(dump.Bursts[0]);
        server.Restart();
        Assert.False(server.Session.SupersedesOlder);

        server.Session.SupersedesOlder = true;
        server.Receive(dump.Bursts[1]);
        server.Restart();
        Assert.True(server.Session.SupersedesOlder);
    }

    /// <summary>As the kernel: what seems unacked is sent again each second, and an ack stands for all packets equal to it modulo 32.</summary>
    private static void SendWithKills(SessionDriver server, ClientMessage[] burst, Random random, double loss, int killsFrom = 0)
    {
        var unacked = burst.ToList();
        for (int round = 0; unacked.Count > 0; round++)
        {
            Assert.True(round < 12 + killsFrom + 20, $"{unacked[0]} is not acked in {round} rounds");
            var arriving = unacked.Where(_ => random.NextDouble() >= loss).ToArray();
            if (random.Next(8) == 0)
                random.Shuffle(arriving);
            while (arriving.Length > 0)
            {
                int count = random.Next(3) == 0 ? random.Next(1, arriving.Length + 1) : arriving.Length;
                server.Receive(arriving[..count]);
                arriving = arriving[count..];
                if (round >= killsFrom && round < 4 && random.Next(6) == 0)
                    Kill();
            }

            server.Wait(random.Next(2) == 0 ? 400_000 : 20_000);
            if (round >= killsFrom && round < 4 && random.Next(6) == 0)
                Kill();
            foreach (uint ack in server.TakeAcks())
            {
                if (random.NextDouble() >= loss)
                    unacked.RemoveAll(message => message.Seqno - burst[0].Seqno is var index && index % 32 == (ack - burst[0].Seqno) % 32 && ack - burst[0].Seqno < 64);
            }

            server.Wait(1_000_000);
        }

        void Kill()
        {
            server.Restart();
            server.Wait(random.Next(1000) * 1000);
        }
    }

    [Fact]
    public void A_client_that_is_never_acked_does_not_grow_what_is_to_be_saved()
    {
        var options = new SessionOptions { MaxRanges = 64 };
        var session = new DumpSession(options, heraldSeqno: 1, nowUs: 0);
        byte[] payload = new byte[100];
        // Seqnos that begin nowhere are not acked before a pause, and each packet rewrites one of two places.
        for (uint i = 0; i < 20_000; i++)
        {
            Assert.NotEqual(RejectReason.TooFragmented, session.OnMessage(new(MessageType.Vmcore, 10_000 + i, 4096 + (i % 2 * 4096), 100), payload, tag: 0, nowUs: i));
            session.OnStored(i);
            Assert.False(session.MustSave);
        }

        Assert.Superset(session.CoveredRanges.ToArray().ToHashSet(), session.UnsavedRanges.ToArray().ToHashSet());
        Assert.True(session.UnsavedRanges.Length <= 2 * options.MaxRanges);
        Assert.True(session.UnsavedOverwrites.Length <= 2 * DumpSummary.MaxListedRanges);
    }

    [Fact]
    public void FINISHED_is_not_acked_by_whoever_only_remembers_that_another_process_answered_the_herald()
    {
        var session = DumpSession.RestoreHalfOpen(new(), heraldSeqno: 1, path: [], nowUs: 0);

        Assert.Null(session.OnMessage(new(MessageType.Finished, 900, 0, 0), [], 0, nowUs: 1));
        session.OnStored(nowUs: 1);

        Assert.Equal(0, session.Acks.Length);
        Assert.Equal(SessionPhase.Closed, session.Phase);
    }
}
