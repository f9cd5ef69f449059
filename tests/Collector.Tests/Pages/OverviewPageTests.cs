using System.Text.RegularExpressions;
using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Collector.Pages.Components;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed partial class OverviewPageTests
{
    private static readonly RoomView s_room = new(300L << 30, 1000L << 30, 100L << 30, "10%", double.PositiveInfinity);

    [Fact]
    public async Task It_says_that_it_is_ready()
    {
        string html = await PageAsync(Rendering.Collector(), Rendering.Dumps());

        Assert.StartsWith("<!DOCTYPE html>", html, StringComparison.Ordinal);
        Assert.Contains("<strong>Ready.</strong>", html, StringComparison.Ordinal);
        Assert.Contains("No host is dumping.", html, StringComparison.Ordinal);
        Assert.Contains("There are no dumps yet.", html, StringComparison.Ordinal);
        Assert.Contains("<title>netdump-collector – crashbox</title>", html, StringComparison.Ordinal);
        Assert.Contains(">3 h 0 min</time>", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_says_why_it_is_not_ready()
    {
        string html = await PageAsync(Rendering.Collector("no <room>"), Rendering.Dumps());

        Assert.Contains("<strong>Not ready.</strong> <bdi>no &lt;room&gt;</bdi>", html, StringComparison.Ordinal);
        Assert.Contains("<title>Not ready &#x2013; netdump-collector – crashbox</title>", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_many_sessions_it_shows_the_first_and_says_what_the_others_are()
    {
        var sessions = Enumerable.Range(0, 1000).Select(number => Rendering.Session($"10.0.{number / 250}.{number % 250}") with { SilentSeconds = number == 777 ? 4 : 0 });

        string html = await PageAsync(Rendering.Collector(null, [.. sessions]), Rendering.Dumps());

        Assert.Equal(50, Rows().Count(html));
        Assert.Contains("1000 receiving. 1 in trouble. The first 50 are shown", html, StringComparison.Ordinal);
        Assert.Contains("<a href=\"/sessions\">All 1000 sessions</a>", html, StringComparison.Ordinal);
        Assert.Contains("<bdi>10.0.3.27</bdi>", html, StringComparison.Ordinal);
        Assert.Contains("<title>1000 dumps arriving &#x2013; netdump-collector – crashbox</title>", html, StringComparison.Ordinal);
        // Rows that come and go because the order changes are no news.
        Assert.DoesNotContain("began a dump", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dumps_are_told_by_words_and_panics_stay_text()
    {
        string html = await PageAsync(Rendering.Collector(), Rendering.Dumps(Rendering.Dump("web1", "<script>alert(1)</script>", 3), Rendering.Dump("web<2>", null, 4, "incomplete") with { IsPinned = true }));

        Assert.Contains("</span> complete</span>", html, StringComparison.Ordinal);
        Assert.Contains("</span> incomplete</span>", html, StringComparison.Ordinal);
        Assert.Contains(">pinned</span>", html, StringComparison.Ordinal);
        Assert.Contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>", html, StringComparison.Ordinal);
        Assert.Contains("none came", html, StringComparison.Ordinal);
        Assert.Contains("aria-label=\"web&lt;2&gt;, dump of 2026-11-21 11:56:00 UTC\"", html, StringComparison.Ordinal);
        Assert.Contains("<time datetime=\"2026-11-21T11:57:00Z\" title=\"2026-11-21 11:57:00 UTC\">3 min ago</time>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script>", html, StringComparison.Ordinal);
        Assert.Contains("data-announce=\"Dump of web1: complete\"", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_directory_that_cannot_be_read_is_told_of_beside_what_was_there()
    {
        var seen = Rendering.Dumps(Rendering.Dump("web1", "page fault")) with { Problem = "The dump directory does not answer." };

        string html = await PageAsync(Rendering.Collector(), seen);

        Assert.Contains("<bdi>The dump directory does not answer.</bdi>", html, StringComparison.Ordinal);
        Assert.Contains("<bdi>page fault</bdi>", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(300, double.PositiveInfinity, "300.0 GiB of 1000.0 GiB are free (70 % used)", null)]
    [InlineData(300, 5400.0, "there is room for about 1 h", null)]
    [InlineData(50, 5400.0, "there is no room for a new dump", "there is room for")]
    public async Task The_disk_is_told_of_with_its_future(long freeGib, double secondsToFull, string present, string? absent)
    {
        string html = await Rendering.OfAsync<RoomNote>((nameof(RoomNote.Room), s_room with { FreeBytes = freeGib << 30, SecondsToFull = secondsToFull }), (nameof(RoomNote.Directory), "/var/crash"));

        Assert.Contains(present, html, StringComparison.Ordinal);
        Assert.True(absent is null || !html.Contains(absent, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_file_system_that_does_not_answer_is_told_of() =>
        Assert.Contains("does not say how much room it has", await PageAsync(Rendering.Collector(), Rendering.Dumps(), room: null), StringComparison.Ordinal);

    [Fact]
    public async Task No_code_and_no_style_is_inside_the_page()
    {
        string html = await PageAsync(Rendering.Collector(null, Rendering.Session()), Rendering.Dumps(Rendering.Dump("web1", "page fault")));

        Assert.DoesNotMatch("<style|style=|<script>|\\son[a-z]+=|href=\"(?!/|#|\")", html);
    }

    private static Task<string> PageAsync(CollectorView collector, DumpsView dumps) => PageAsync(collector, dumps, s_room);

    private static Task<string> PageAsync(CollectorView collector, DumpsView dumps, RoomView? room) => Rendering.OfAsync<OverviewPage>(
        (nameof(OverviewPage.Collector), collector), (nameof(OverviewPage.Dumps), dumps), (nameof(OverviewPage.Room), room));

    [GeneratedRegex("<tr role=\"row\" data-key")]
    private static partial Regex Rows();
}
