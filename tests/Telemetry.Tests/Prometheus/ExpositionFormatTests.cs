using NetdumpCollector.Telemetry.Prometheus;

namespace NetdumpCollector.Telemetry.Tests.Prometheus;

public sealed class ExpositionFormatTests
{
    [Theory]
    [InlineData("", ExpositionFormat.Text)]
    [InlineData("*/*", ExpositionFormat.Text)]
    [InlineData("text/html,application/xhtml+xml,*/*;q=0.8", ExpositionFormat.Text)]
    [InlineData("application/openmetrics-text", ExpositionFormat.OpenMetrics)]
    [InlineData("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", ExpositionFormat.OpenMetrics)]
    [InlineData("application/openmetrics-text; version=1.0.0; charset=utf-8", ExpositionFormat.OpenMetrics)]
    [InlineData("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", ExpositionFormat.Text)]
    [InlineData("application/openmetrics-text;q=0.2,text/plain;q=0.5", ExpositionFormat.Text)]
    [InlineData("application/openmetrics-text;q=0", ExpositionFormat.Text)]
    [InlineData("application/openmetrics-text;q=x", ExpositionFormat.Text)]
    public void The_format_is_what_the_reader_prefers(string accept, ExpositionFormat expected) => Assert.Equal(expected, ExpositionFormats.Negotiate([accept]));

    [Fact]
    public void Several_headers_count_as_one() => Assert.Equal(ExpositionFormat.OpenMetrics, ExpositionFormats.Negotiate(["text/plain;q=0.3", null, "application/openmetrics-text;q=0.9"]));

    [Fact]
    public void Responses_say_what_they_are()
    {
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", ExpositionFormat.Text.ContentType());
        Assert.Equal("application/openmetrics-text; version=1.0.0; charset=utf-8", ExpositionFormat.OpenMetrics.ContentType());
    }
}
