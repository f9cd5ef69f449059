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
        long bursts = 0;

        NoAllocation.In(() =>
        {
            TakeBurst(session, bytes, ref seqno, ref offset, ref nowUs);
            bursts++;
        });
        Assert.Equal(bursts * Math.Min(WellKnown.AckWindow, (WellKnown.BurstBytes + payload - 1) / payload), session.Counters.Acks);
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
