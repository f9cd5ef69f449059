using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Tests.ObjectStore;

public sealed class RateLimitTests
{
    private readonly Clock _clock = new();

    [Theory]
    [InlineData(1_000_000, 65_536)]
    [InlineData(50_000_000, 65_536)]
    [InlineData(100_000, 65_536)]
    public void What_is_sent_stays_below_the_limit_and_comes_near_it(long bytesPerSecond, int piece)
    {
        var limit = new RateLimit(bytesPerSecond, _clock);
        long sent = 0;
        while (_clock.Elapsed < TimeSpan.FromSeconds(20))
        {
            _clock.Advance(limit.Take(piece));
            sent += piece;
            Assert.True(sent <= (bytesPerSecond * (_clock.Elapsed.TotalSeconds + 0.11)) + 1);
        }

        Assert.InRange(sent / _clock.Elapsed.TotalSeconds, bytesPerSecond * 0.99, bytesPerSecond * 1.02);
    }

    [Fact]
    public void A_pause_is_no_credit_for_more_than_a_tenth_of_a_second()
    {
        var limit = new RateLimit(1_000_000, _clock);
        _clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(TimeSpan.Zero, limit.Take(100_000));
        Assert.InRange(limit.Take(1_000_000).TotalSeconds, 0.999, 1.001);
    }

    [Fact]
    public void Several_senders_share_it()
    {
        var limit = new RateLimit(1_000_000, _clock);
        _ = limit.Take(100_000);
        Assert.InRange(limit.Take(500_000).TotalSeconds, 0.499, 0.501);
        Assert.InRange(limit.Take(500_000).TotalSeconds, 0.999, 1.001);
    }

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public TimeSpan Elapsed => TimeSpan.FromTicks(_ticks);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(TimeSpan time) => _ticks += time.Ticks;
    }
}
