using FsCheck;
using FsCheck.Fluent;

namespace NetdumpCollector.Protocol.Tests.Session;

/// <summary>Whatever a client, a disk and a clock do.</summary>
public sealed partial class DumpSessionTests
{
    private static readonly byte[][] s_headers =
    [
        HeaderOf(AnyClientRun.DumpBytes / 2, keyBytes: 0),
        HeaderOf(AnyClientRun.DumpBytes / 4, keyBytes: 0),
        HeaderOf(AnyClientRun.DumpBytes / 4, keyBytes: 150),
        HeaderOf(AnyClientRun.DumpBytes * 2, keyBytes: 0),
        WithBadParity(HeaderOf(AnyClientRun.DumpBytes / 4, keyBytes: 0)),
        new byte[100],
    ];

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(uint.MaxValue - 10)]
    public void No_client_makes_the_session_throw_lie_about_bytes_or_ack_what_is_not_stored(uint heraldSeqno) =>
        Prop.ForAll(Steps(heraldSeqno).ListOf().ToArbitrary(), steps =>
        {
            var run = new AnyClientRun(heraldSeqno);
            run.Run(steps);
            return (run.Broken is null).Label(run.Broken ?? "");
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000).WithEndSize(80));

    [Fact]
    public void The_random_clients_reach_every_status()
    {
        var seen = new HashSet<DumpStatus>();
        foreach (var steps in Steps(heraldSeqno: 0).ListOf().Sample(3000, 80))
        {
            var run = new AnyClientRun(heraldSeqno: 0);
            run.Run(steps);
            if (run.Session.Summary is { } summary)
                seen.Add(summary.Status);
        }

        // Truncated is the policy's doing, not a client's.
        Assert.Equal(Enum.GetValues<DumpStatus>().Where(status => status != DumpStatus.Truncated).Order(), seen.Order());
    }

    private static Gen<AnyStep> Steps(uint heraldSeqno)
    {
        var taken = Gen.Frequency((9, Gen.Constant(int.MaxValue)), (1, Gen.Choose(0, 5)));
        var batch =
            from messages in Messages(heraldSeqno).ArrayOf()
            from writes in taken
            from records in taken
            select (AnyStep)new AnyStep.Batch(messages, writes, records);
        return Gen.Frequency(
            (20, batch),
            (2, Batches(heraldSeqno)),
            (8, Gen.Elements(1L, 14_999, 15_000, 100_000, 1_000_000, 3_000_000, 15_000_000).Select(us => (AnyStep)new AnyStep.Wait(us))),
            (1, Gen.Elements(30_000_000L, 600_000_000).Select(us => (AnyStep)new AnyStep.Wait(us))),
            (2, Gen.Elements(true, true, false).Select(succeeds => (AnyStep)new AnyStep.Commit(succeeds))),
            (1, Gen.Elements(EndReason.Superseded, EndReason.MachineCrashed).Select(reason => (AnyStep)new AnyStep.End(reason))));
    }

    private static Gen<ClientMessage> Messages(uint heraldSeqno)
    {
        // Small numbers, so that things collide, and now and then a wild one.
        var seqnos = Gen.Frequency((30, Gen.Choose(0, 60).Select(distance => heraldSeqno + (uint)distance)), (1, ArbMap.Default.GeneratorFor<uint>()));
        var offsets = Gen.Frequency(
            (30, Gen.Choose(0, 40).Select(i => (ulong)i * 100)),
            (5, Gen.Choose(0, AnyClientRun.DumpBytes).Select(i => (ulong)i)),
            (1, ArbMap.Default.GeneratorFor<ulong>()));
        var lengths = Gen.Frequency((20, Gen.Constant(100)), (4, Gen.Choose(0, 150)), (1, Gen.Constant(2100)));
        var anyVmcore =
            from seqno in seqnos
            from offset in offsets
            from length in lengths
            select ClientMessage.Vmcore(seqno, offset, new byte[length]);
        // As a kernel would number them.
        var soundVmcore = Gen.Choose(0, 40).Select(i => ClientMessage.Vmcore(heraldSeqno + 1 + (uint)i, (ulong)i * 100, new byte[100]));
        return Gen.Frequency(
            (10, anyVmcore),
            (20, soundVmcore),
            (2, seqnos.Zip(Gen.Elements("", "a/b", new string('x', 60))).Zip(Gen.Elements<ulong>(0, 10, ulong.MaxValue)).Select(t => ClientMessage.Herald(t.Item1.Item2, t.Item1.Item1, t.Item2))),
            (2, seqnos.Zip(Gen.Elements(s_headers)).Select(t => ClientMessage.Kdh(t.Item1, t.Item2))),
            (2, seqnos.Zip(Gen.Elements<ulong>(0, 50, 100, 190, ulong.MaxValue)).Select(t => ClientMessage.Key(t.Item1, t.Item2, new byte[100]))),
            (1, seqnos.Select(ClientMessage.Finished)),
            (1, seqnos.Select(seqno => new ClientMessage((MessageType)77, seqno, 0, []))));
    }

    /// <summary>A contiguous run of packets from offset 0, so that some dumps come to a good end.</summary>
    private static Gen<AnyStep> Batches(uint heraldSeqno) =>
        from count in Gen.Choose(1, 40)
        select (AnyStep)new AnyStep.Batch(
            [.. Enumerable.Range(0, count).Select(i => ClientMessage.Vmcore(heraldSeqno + 1 + (uint)i, (ulong)i * 100, new byte[100]))], int.MaxValue, int.MaxValue);

    private static byte[] HeaderOf(int dumpBytes, uint keyBytes) =>
        KernelDumpHeader.Create("amd64", (ulong)dumpBytes, DateTimeOffset.UnixEpoch, keyBytes, 512, DumpCompression.None, "", "", "");

    /// <summary>The burst was given up with one packet of it stored; a message of another type makes the next seqno a burst's first.</summary>
    [Fact]
    public void What_was_stored_of_a_burst_that_was_given_up_stands_for_no_packet_of_the_next()
    {
        var dump = new SampleDump();
        var server = new SessionDriver();
        server.Receive(dump.Herald);
        byte[] content = new byte[1448];
        server.ReceiveWhileDiskIsFull(
            [
                Packet(2, 0, 1024), Packet(3, 1024, 1024), Packet(4, 2048, 1024), Packet(5, 3072, 1024),
                // Fits neither those nor a burst of its own.
                Packet(3, 0, 0), Packet(6, 2896, 1448), Packet(9, 7240, 1448), Packet(10, 8688, 1448), Packet(11, 10136, 1448), Packet(12, 11584, 704),
            ],
            writesDone: 1);

        server.Receive(dump.Kdh with { Seqno = 4 }, Packet(8, 2896, 1200), Packet(7, 1448, 1448), Packet(6, 0, 1448));

        Assert.DoesNotContain(5u, server.TakeAcks());

        ClientMessage Packet(uint seqno, ulong offset, int length) => ClientMessage.Vmcore(seqno, offset, content[..length]);
    }
}
