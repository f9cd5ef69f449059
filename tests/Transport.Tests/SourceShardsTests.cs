using NetdumpCollector.Protocol;

namespace NetdumpCollector.Transport.Tests;

public sealed class SourceShardsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(65535)]
    public void Every_address_has_a_shard(int shards)
    {
        Random random = new(shards);
        for (int i = 0; i < 10_000; i++)
            Assert.InRange(SourceShards.ShardOf(new((uint)random.NextInt64(1L << 32)), shards), 0, shards - 1);
        Assert.Equal(0, SourceShards.ShardOf(Ipv4.Any, shards));
    }

    [Theory]
    [InlineData(0x0a000001u, 1u)]
    [InlineData(0xc0a80a00u, 1u)]
    [InlineData(0x7f000001u, 2u)]
    [InlineData(0x0a010005u, 256u)]
    public void Neighbouring_addresses_spread_evenly(uint first, uint step)
    {
        foreach (int shards in (int[])[2, 3, 4, 8])
        {
            var counts = Enumerable.Range(0, 240).CountBy(i => SourceShards.ShardOf(new(first + (uint)i * step), shards)).ToDictionary();
            Assert.Equal(shards, counts.Count);
            Assert.All(counts.Values, count => Assert.InRange(count, 240 / shards * 3 / 4, 240 / shards * 5 / 4));
        }
    }
}
