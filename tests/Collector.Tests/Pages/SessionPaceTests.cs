using NetdumpCollector.Collector.Pages;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class SessionPaceTests
{
    private readonly ManualClock _clock = new();
    private readonly SessionPace _pace;

    public SessionPaceTests() => _pace = new(_clock);

    [Fact]
    public void At_first_sight_a_rate_is_that_since_the_start() => Assert.Equal(100, Look(1000, startedSecondsAgo: 10));

    [Fact]
    public void Then_it_is_that_of_the_last_seconds()
    {
        Look(1000, 10);
        for (int second = 0; second < 10; second++)
        {
            _clock.Now += TimeSpan.FromSeconds(1);
            Look(1000, 11 + second);
        }

        Assert.Equal(0, Look(1000, 20));
        _clock.Now += TimeSpan.FromSeconds(1);
        Assert.Equal(50, Look(1500, 21));
    }

    [Fact]
    public void After_a_long_time_without_a_look_it_is_that_since_the_start()
    {
        Look(1000, 10);
        _clock.Now += TimeSpan.FromHours(1);

        Assert.Equal(1, Look(3610, 3610));
    }

    [Fact]
    public void A_new_dump_of_the_same_host_begins_anew()
    {
        Look(9000, 10);
        _clock.Now += TimeSpan.FromSeconds(1);

        Assert.Equal(500, Look(1000, 2));
    }

    [Fact]
    public void A_session_that_has_just_begun_has_no_rate() => Assert.Equal(0, Look(1000, 0));

    private double Look(ulong bytes, int startedSecondsAgo) => Assert.Single(_pace.Take(
        [new("10.0.0.1", null, "receiving", _clock.GetUtcNow().UtcDateTime.AddSeconds(-startedSecondsAgo), 0, bytes, null, null, 0, 0, 20100, null, null, null)])).BytesPerSecond;
}
