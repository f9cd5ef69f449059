using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Watch;

namespace NetdumpCollector.Collector.Tests.Watch;

public sealed class SessionProgressTests
{
    [Theory]
    [InlineData(0, 1000, "0 %")]
    [InlineData(999, 1000, "99 %")]
    [InlineData(1000, 1000, "100 %")]
    [InlineData(1000, null, "-")]
    [InlineData(0, 0, "-")]
    public void A_hundred_percent_is_all_of_it(int bytes, int? expected, string percent) => Assert.Equal(percent, SessionProgress.PercentOf(Row(bytes, expected)));

    [Theory]
    [InlineData(400, 1000, 100, "0:06")]
    [InlineData(0, 1_000_000, 1000, "16:40")]
    [InlineData(0, 10_000_000, 1000, "2:46:40")]
    [InlineData(0, int.MaxValue, 1, "> 1 day")]
    [InlineData(1000, 1000, 50, "0:00")]
    [InlineData(1200, 1000, 50, "0:00")]
    [InlineData(0, 1000, 0, "-")]
    [InlineData(0, null, 100, "-")]
    public void What_is_left_takes_as_long_as_the_rate_says(int bytes, int? expected, double bytesPerSecond, string left) =>
        Assert.Equal(left, SessionProgress.TimeLeftOf(Row(bytes, expected), bytesPerSecond));

    [Fact]
    public void A_dump_that_has_ended_has_no_time_left() => Assert.Equal("-", SessionProgress.TimeLeftOf(Row(10, 1000) with { Phase = "ending" }, 5));

    private static SessionRow Row(int bytes, int? expected) => new("a", null, "receiving", DateTime.UnixEpoch, 0, (ulong)bytes, null, (ulong?)expected, 0, 0, 20100, null, null, null);
}
