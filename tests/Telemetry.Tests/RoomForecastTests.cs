namespace NetdumpCollector.Telemetry.Tests;

public sealed class RoomForecastTests
{
    private readonly ManualClock _clock = new();

    [Fact]
    public void Nothing_that_arrives_never_fills_a_disk() => Assert.Equal(double.PositiveInfinity, new RoomForecast(_clock).SecondsToFull(1000, 0));

    [Fact]
    public void The_rate_is_that_of_the_time_since_the_start()
    {
        var forecast = new RoomForecast(_clock);
        _clock.Now += TimeSpan.FromSeconds(100);
        Assert.Equal(50, forecast.SecondsToFull(freeBytes: 1000, writtenBytes: 2000));
    }

    [Fact]
    public void Only_the_last_ten_minutes_count()
    {
        var forecast = new RoomForecast(_clock);
        long written = 0;
        for (int minute = 0; minute < 30; minute++)
        {
            _clock.Now += TimeSpan.FromMinutes(1);
            written += minute < 15 ? 60_000_000 : 600;
            forecast.Note(written);
        }

        Assert.InRange(forecast.SecondsToFull(1000, written), 99, 112);
    }

    [Fact]
    public void What_is_noted_each_second_counts_though_nobody_asks()
    {
        var forecast = new RoomForecast(_clock);
        for (int second = 0; second < 3600; second++)
        {
            _clock.Now += TimeSpan.FromSeconds(1);
            forecast.Note(Math.Max(0, second - 3000) * 1000);
        }

        // 599 s of the last ten minutes at 1000 bytes per second.
        Assert.InRange(forecast.SecondsToFull(1_000_000, 599_000), 995, 1020);
    }

    [Fact]
    public void A_first_burst_is_no_rate()
    {
        var forecast = new RoomForecast(_clock);
        _clock.Now += TimeSpan.FromMilliseconds(1);
        Assert.Equal(10, forecast.SecondsToFull(freeBytes: 64_000, writtenBytes: 64_000));
    }
}
