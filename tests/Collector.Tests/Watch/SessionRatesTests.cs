using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Watch;

namespace NetdumpCollector.Collector.Tests.Watch;

public sealed class SessionRatesTests
{
    private readonly Clock _clock = new();
    private readonly SessionRates _rates = new();

    [Fact]
    public void Rates_are_those_since_the_last_look_and_the_fastest_come_first()
    {
        _rates.Take([Row("a", 1000), Row("b", 1000)], _clock);
        _clock.Now += TimeSpan.FromSeconds(2);

        var rates = _rates.Take([Row("a", 1500), Row("b", 5000), Row("c", 700)], _clock);

        Assert.Equal([("b", 2000d), ("a", 250d), ("c", 0d)], rates.Select(rate => (rate.Session.Client, rate.BytesPerSecond)));
    }

    [Fact]
    public void A_new_dump_of_the_same_host_begins_anew()
    {
        _rates.Take([Row("a", 9000)], _clock);
        _clock.Now += TimeSpan.FromSeconds(1);

        Assert.Equal(0, Assert.Single(_rates.Take([Row("a", 4096) with { StartedAt = DateTime.UnixEpoch.AddSeconds(5) }], _clock)).BytesPerSecond);
    }

    [Fact]
    public void Sessions_that_arrive_come_before_those_that_linger()
    {
        var rates = _rates.Take([Row("a", 1) with { Phase = "lingering" }, Row("b", 1)], _clock);

        Assert.Equal(["b", "a"], rates.Select(rate => rate.Session.Client));
    }

    private static SessionRow Row(string client, ulong bytes) => new(client, null, "receiving", DateTime.UnixEpoch, 0, bytes, null, null, 0, 0, 20100, null, null, null);

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
