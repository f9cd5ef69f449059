using NetdumpCollector.Protocol.Session;

namespace NetdumpCollector.Protocol.Tests.Session;

public sealed class AckListTests
{
    [Fact]
    public void Keeps_order_grows_and_starts_over()
    {
        var acks = new AckList();
        uint[] many = [.. Enumerable.Range(0, 300).Select(i => uint.MaxValue - (uint)i)];
        foreach (uint seqno in many)
            acks.Add(seqno);
        Assert.Equal(many, acks.Seqnos.ToArray());
        acks.Clear();
        Assert.Equal(0, acks.Count);
        acks.Add(7);
        Assert.Equal([7u], acks.Seqnos.ToArray());
    }
}
