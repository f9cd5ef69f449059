using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Collector.Send;

namespace NetdumpCollector.Collector.Tests.Send;

public sealed class FaultyPathTests
{
    [Fact]
    public void A_perfect_path_delivers_everything_in_order_at_once()
    {
        var delivered = Carry(default, seed: 1, count: 1000, out var path);

        Assert.Equal(Enumerable.Range(0, 1000), delivered);
        Assert.Equal(long.MaxValue, path.NextUs);
    }

    [Fact]
    public void Loss_takes_its_share_and_reordering_changes_only_the_order()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            Assert.Empty(Carry(new(1, 0, 0), seed, 100, out _));
            Assert.InRange(Carry(new(0.5, 0, 0), seed, 1000, out _).Count, 350, 650);
            var late = Carry(new(0, 0, 0.5), seed, 1000, out _);
            Assert.Equal(Enumerable.Range(0, 1000), late.Order());
            Assert.NotEqual(Enumerable.Range(0, 1000), late);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Duplicates_arrive_twice() =>
        Assert.Equal(Enumerable.Range(0, 10).SelectMany(item => new[] { item, item }), Carry(new(0, 1, 0), 1, 10, out _));

    [Fact]
    public void The_same_seed_gives_the_same_faults()
    {
        var rates = new FaultRates(0.1, 0.1, 0.1);

        Assert.Equal(Carry(rates, 7, 500, out _), Carry(rates, 7, 500, out _));
        Assert.NotEqual(Carry(rates, 7, 500, out _), Carry(rates, 8, 500, out _));
    }

    private static List<int> Carry(FaultRates rates, int seed, int count, out FaultyPath<int> path)
    {
        var delivered = new List<int>();
        path = new(rates, new Random(seed), delivered.Add);
        long nowUs = 0;
        for (int item = 0; item < count; item++)
        {
            path.Carry(item, nowUs);
            path.Release(nowUs += 10);
        }

        while (path.NextUs != long.MaxValue)
            path.Release(path.NextUs);
        return delivered;
    }
}
