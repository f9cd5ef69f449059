using NetdumpCollector.Protocol.Session;
using NetdumpCollector.Protocol.Tests.Client;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed partial class DumpSessionTests
{
    [Fact]
    public void What_a_real_kernel_sent_is_taken_and_acked_burst_by_burst()
    {
        var session = new DumpSession(new(), heraldSeqno: 1, nowUs: 0);
        var acked = new List<uint>();
        var ackedBursts = new List<uint[]>();
        byte[] file = new byte[4096 + 65536];
        var sent = GoldenCapture.Read().Where(datagram => datagram.IsFromClient).Select(datagram => datagram.Payload).ToList();
        foreach (byte[] datagram in sent)
        {
            Assert.True(MessageHeader.TryRead(datagram, out var header));
            if (header.Type == MessageType.Kdh)
                break;
            if (header.Type == MessageType.Vmcore && header.Offset + header.Length > (ulong)file.Length)
                continue;

            Assert.Null(session.OnMessage(header, datagram.AsSpan(MessageHeader.SizeBytes), tag: 0, nowUs: header.Seqno));
            foreach (var write in session.Writes)
                datagram.AsSpan(MessageHeader.SizeBytes).CopyTo(file.AsSpan((int)write.Offset));
            session.OnStored(header.Seqno);
            if (!session.Acks.IsEmpty)
                ackedBursts.Add(session.Acks.ToArray());
            acked.AddRange(session.Acks);
            session.ClearAcks();
        }

        Assert.Equal([1, 3, 46], ackedBursts.Select(burst => burst.Length));
        Assert.Equal(Enumerable.Range(1, 50).Select(seqno => (uint)seqno), acked);
        Assert.Equal((ulong)file.Length, session.CoveredBytes);
        Assert.Equal(2, session.Counters.Bursts);
        Assert.Equal("minidump FreeBSD/amd64"u8, file.AsSpan(0, 22));
    }
}
