using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed partial class DumpSessionTests
{
    [Theory]
    [InlineData(1448)]
    [InlineData(1408)]
    [InlineData(524)]
    [InlineData(8948)]
    public void A_burst_costs_no_allocation(int payload)
    {
        var session = new DumpSession(new(), heraldSeqno: 1, nowUs: 0);
        byte[] bytes = new byte[payload];
        uint seqno = 2;
        ulong offset = 0;
        long nowUs = 0;
        for (int warmUp = 0; warmUp < 100; warmUp++)
            TakeBurst(session, bytes, ref seqno, ref offset, ref nowUs);

        long acks = session.Counters.Acks;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int burst = 0; burst < 10_000; burst++)
            TakeBurst(session, bytes, ref seqno, ref offset, ref nowUs);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(10_000L * Math.Min(WellKnown.AckWindow, (WellKnown.BurstBytes + payload - 1) / payload), session.Counters.Acks - acks);
    }

    private static void TakeBurst(DumpSession session, byte[] bytes, ref uint seqno, ref ulong offset, ref long nowUs)
    {
        int tag = 0;
        for (int left = WellKnown.BurstBytes; left > 0; left -= bytes.Length)
        {
            var payload = bytes.AsSpan(0, Math.Min(left, bytes.Length));
            session.OnMessage(new(MessageType.Vmcore, seqno++, offset, (uint)payload.Length), payload, tag++, nowUs);
            offset += (ulong)payload.Length;
        }

        session.OnStored(nowUs);
        session.ClearAcks();
        if (session.WakeUs <= nowUs)
            session.OnTick(nowUs);
        nowUs += 1000;
    }
}
