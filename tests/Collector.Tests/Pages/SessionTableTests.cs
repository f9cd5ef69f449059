using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Collector.Pages.Components;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class SessionTableTests
{
    private const ulong MiB = 1 << 20;

    [Fact]
    public async Task Without_a_total_it_says_how_much_came_and_promises_nothing()
    {
        string html = await TableAsync(Rendering.Session());

        Assert.Contains("50.0 MiB so far", html, StringComparison.Ordinal);
        Assert.Contains("not known", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<progress", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_a_total_it_shows_the_part_and_the_time_left()
    {
        string html = await TableAsync(Rendering.Session() with { Host = "web1", TotalBytes = 200 * MiB });

        Assert.Contains("<progress max=\"100\" value=\"25\" aria-label=\"Progress of web1\">25 %</progress>", html, StringComparison.Ordinal);
        Assert.Contains("50.0 MiB of 200.0 MiB, 25&#xA0;%", html, StringComparison.Ordinal);
        Assert.Contains("about 3 min<", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_only_expected_is_called_an_estimate()
    {
        string html = await TableAsync(Rendering.Session() with { ExpectedBytes = 200 * MiB });

        Assert.Contains("50.0 MiB of about 200.0 MiB, 25&#xA0;%", html, StringComparison.Ordinal);
        Assert.Contains("about 3 min (estimated)", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_than_was_expected_shows_that_nobody_knows() =>
        Assert.Contains("50.0 MiB so far", await TableAsync(Rendering.Session() with { ExpectedBytes = 49 * MiB }), StringComparison.Ordinal);

    [Theory]
    [InlineData(2.0, null)]
    [InlineData(5.2, "silent for 5 s; the kernel gives up after about 11 s")]
    [InlineData(14.0, "silent for 14 s; the kernel has probably given up")]
    public async Task Silence_is_told_of_in_words(double seconds, string? words)
    {
        string html = await TableAsync(Rendering.Session() with { SilentSeconds = seconds });

        Assert.Equal(words is not null, html.Contains("silent for", StringComparison.Ordinal));
        Assert.Contains(words ?? "receiving", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_session_that_has_ended_is_not_silent_and_has_no_rate()
    {
        string html = await TableAsync(Rendering.Session() with { Phase = "lingering", SilentSeconds = 12 });

        Assert.DoesNotContain("silent", html, StringComparison.Ordinal);
        Assert.DoesNotContain("MiB/s", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_error_of_the_disk_stands_in_the_row() =>
        Assert.Contains("cannot be stored: <bdi>No space left on device</bdi>", await TableAsync(Rendering.Session() with { Error = "No space left on device" }), StringComparison.Ordinal);

    [Fact]
    public async Task What_hosts_call_themselves_stays_text()
    {
        string html = await TableAsync(Rendering.Session() with { Host = "\"><script>alert(1)</script>", TotalBytes = 100 * MiB, Error = "</td><b>" });

        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>", html, StringComparison.Ordinal);
        Assert.Contains("aria-label=\"Progress of &quot;&gt;&lt;script&gt;", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Those_in_trouble_come_first_then_those_that_arrive()
    {
        var sessions = SessionsView.Of(
        [
            Rendering.Session("ended") with { Phase = "lingering" },
            Rendering.Session("announced") with { Phase = "half_open" },
            Rendering.Session("second"),
            Rendering.Session("first") with { StartedAt = Rendering.Now.AddHours(-1) },
            Rendering.Session("silent") with { SilentSeconds = 3 },
            Rendering.Session("failing") with { Phase = "ending", Error = "EIO" },
        ]);

        Assert.Equal(["silent", "failing", "first", "second", "announced", "ended"], sessions.Sessions.Select(session => session.Client));
        Assert.Equal(2, sessions.Troubled);
        Assert.Equal(3, sessions.Receiving);
        Assert.Equal(3 * (1 << 20), sessions.BytesPerSecond);
        Assert.Equal("3 receiving, 1 being made durable, 1 announced, no data yet, 1 ended", sessions.PhaseCounts);
    }

    private static Task<string> TableAsync(params SessionView[] sessions) =>
        Rendering.OfAsync<SessionTable>((nameof(SessionTable.Sessions), sessions), (nameof(SessionTable.Now), Rendering.Now));
}
