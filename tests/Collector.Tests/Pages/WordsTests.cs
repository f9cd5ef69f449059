using NetdumpCollector.Collector.Pages;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class WordsTests
{
    [Theory]
    [InlineData(-5, "just now")]
    [InlineData(1.9, "just now")]
    [InlineData(59.9, "59 s ago")]
    [InlineData(60, "1 min ago")]
    [InlineData(3599, "59 min ago")]
    [InlineData(3600, "1 h ago")]
    [InlineData(172_799, "47 h ago")]
    [InlineData(172_800, "2 days ago")]
    public void Times_are_said_as_people_say_them(double secondsAgo, string words) => Assert.Equal(words, Words.Ago(Rendering.Now.AddSeconds(-secondsAgo), Rendering.Now));

    [Theory]
    [InlineData(0, "a few seconds")]
    [InlineData(9.9, "a few seconds")]
    [InlineData(10, "about 10 s")]
    [InlineData(10.1, "about 20 s")]
    [InlineData(50, "about 50 s")]
    [InlineData(50.1, "about 1 min")]
    [InlineData(61, "about 2 min")]
    [InlineData(3540, "about 59 min")]
    [InlineData(3541, "about 1 h")]
    [InlineData(3601, "about 2 h")]
    [InlineData(172_801, "about 3 days")]
    [InlineData(1e9, "more than a month")]
    public void What_takes_a_while_is_rounded_up(double seconds, string words) => Assert.Equal(words, Words.About(TimeSpan.FromSeconds(seconds)));

    [Theory]
    [InlineData(0.04, "0.0 s")]
    [InlineData(9.94, "9.9 s")]
    [InlineData(59.9, "59 s")]
    [InlineData(125, "2 min 5 s")]
    [InlineData(7265, "2 h 1 min")]
    [InlineData(1e6, "11 days")]
    public void What_took_a_while_is_said_exactly(double seconds, string words) => Assert.Equal(words, Words.Took(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void Times_are_in_utc() => Assert.Equal("2026-11-21 11:00:00 UTC", Words.Time(new(2026, 11, 21, 12, 0, 0, TimeSpan.FromHours(1))));
}
