using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Actors.Ingress;

namespace NetdumpCollector.Actors.Tests.Ingress;

public sealed class RateTableTests
{
    private const long SecondUs = 1_000_000;
    private const long MinuteUs = 60 * SecondUs;
    private const long StartUs = 5 * SecondUs;

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(60)]
    [InlineData(6000)]
    [InlineData(1_000_000)]
    public void Exactly_the_rate_may_be_taken_at_once(int perMinute)
    {
        var table = new RateTable(perMinute, 16, seed: 1);

        for (int taken = 0; taken < perMinute; taken++)
        {
            Assert.False(table.IsExhausted(42, StartUs));
            table.Take(42, StartUs);
        }

        Assert.True(table.IsExhausted(42, StartUs));
        Assert.False(table.IsExhausted(43, StartUs));
    }

    [Fact]
    public void Then_one_is_given_back_after_each_share_of_a_minute()
    {
        var table = new RateTable(60, 16, seed: 1);
        Take(table, 42, 60, StartUs);

        Assert.True(table.IsExhausted(42, StartUs + SecondUs - 1));
        Assert.False(table.IsExhausted(42, StartUs + SecondUs));
        table.Take(42, StartUs + SecondUs);
        Assert.True(table.IsExhausted(42, StartUs + (2 * SecondUs) - 1));
        Assert.False(table.IsExhausted(42, StartUs + (2 * SecondUs)));
    }

    [Fact]
    public void What_was_taken_beyond_the_rate_costs_no_more_than_the_rate()
    {
        var table = new RateTable(60, 16, seed: 1);
        Take(table, 42, 10_000, StartUs);

        Assert.True(table.IsExhausted(42, StartUs));
        Assert.False(table.IsExhausted(42, StartUs + SecondUs));
    }

    [Fact]
    public void One_who_takes_once_a_minute_is_never_exhausted()
    {
        var table = new RateTable(1, 16, seed: 1);
        for (int minute = 0; minute < 1000; minute++)
        {
            Assert.False(table.IsExhausted(42, StartUs + (minute * MinuteUs)));
            table.Take(42, StartUs + (minute * MinuteUs));
        }
    }

    [Fact]
    public void In_any_stretch_of_time_no_key_takes_more_than_its_rate_and_what_it_saved_up() =>
        Prop.ForAll((from rate in Gen.Choose(1, 40)
                     from steps in (from key in Gen.Choose(0, 3)
                                    from waitUs in Gen.Frequency((3, Gen.Constant(0)), (2, Gen.Choose(0, 3_000_000)), (1, Gen.Choose(0, 90_000_000)))
                                    select (Key: (uint)key, WaitUs: (long)waitUs)).ArrayOf()
                     from seed in ArbMap.Default.GeneratorFor<ulong>()
                     select (rate, steps, seed)).ToArbitrary(), given =>
        {
            var table = new RateTable(given.rate, 1024, given.seed);
            var taken = new List<(uint Key, long AtUs)>();
            long nowUs = StartUs;
            foreach (var (key, waitUs) in given.steps)
            {
                nowUs += waitUs;
                long intervalUs = MinuteUs / given.rate;
                var own = taken.Where(past => past.Key == key).Select(past => past.AtUs).ToArray();
                bool exhausted = table.IsExhausted(key, nowUs);
                // A host that keeps to its rate is never refused.
                if (!own.Any(atUs => atUs > nowUs - MinuteUs))
                    Assert.False(exhausted);
                if (exhausted)
                    continue;

                table.Take(key, nowUs);
                taken.Add((key, nowUs));
                foreach (long fromUs in own)
                    Assert.True(own.Count(atUs => atUs >= fromUs) + 1 <= given.rate + ((nowUs - fromUs) / intervalUs) + 1, "more than the rate");
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Where_too_many_keys_meet_those_with_the_least_debt_are_forgotten()
    {
        var table = new RateTable(10, 16, seed: 1);
        Take(table, 42, 10, StartUs);

        for (uint key = 1000; key < 100_000; key++)
            table.Take(key, StartUs);

        Assert.True(table.IsExhausted(42, StartUs));
    }

    [Fact]
    public void Keys_that_differ_little_are_told_apart()
    {
        var table = new RateTable(1, 16_384, seed: 7);
        for (uint key = 0; key < 4096; key++)
            table.Take(0x0a000000 + key, StartUs);

        int remembered = Enumerable.Range(0, 4096).Count(key => table.IsExhausted(0x0a000000 + (uint)key, StartUs));

        Assert.InRange(remembered, 4000, 4096);
        Assert.False(table.IsExhausted(0x0a000000 + 4096, StartUs));
    }

    [Fact]
    public void Nothing_is_allocated()
    {
        var table = new RateTable(10, 1024, seed: 1);
        uint key = 0;

        NoAllocation.In(() =>
        {
            for (uint end = key + 100; key < end; key++)
            {
                table.Take(key, StartUs + key);
                table.IsExhausted(key, StartUs + key);
            }
        });
    }

    private static void Take(RateTable table, uint key, int times, long nowUs)
    {
        for (int i = 0; i < times; i++)
            table.Take(key, nowUs);
    }
}
