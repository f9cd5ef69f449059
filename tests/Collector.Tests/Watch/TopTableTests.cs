using NetdumpCollector.Collector.Http;
using NetdumpCollector.Collector.Watch;
using Spectre.Console;

namespace NetdumpCollector.Collector.Tests.Watch;

public sealed class TopTableTests
{
    [Theory]
    [InlineData(80, 24, 20)]
    [InlineData(80, 8, 4)]
    [InlineData(132, 60, 40)]
    [InlineData(80, 2, 1)]
    public void A_session_is_a_line_and_head_and_sum_stay_in_sight(int width, int height, int rows)
    {
        var sessions = Enumerable.Range(1, 1000).Select(number => (Session($"127.51.100.{number % 256}", "a-host-with-a-long-name.example.net"), 697.3 * 1024)).ToArray();

        string[] lines = Render(sessions, width, height);

        Assert.Equal(rows + 3, lines.Length);
        Assert.All(lines, line => Assert.True(line.Length <= width, line));
        Assert.Contains("1000 dumps arriving", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("CLIENT", lines[1], StringComparison.Ordinal);
        Assert.All(lines[2..^1], line => Assert.Matches("^127[.]51[.]100[.][0-9]+ +a-host.* receiving .*[0-9]+[.][0-9].KiB .* 13.s *", line));
        Assert.Contains($"and {1000 - rows} more", lines[^1], StringComparison.Ordinal);
        Assert.Equal(width >= 100, lines[1].Contains("REPEATED", StringComparison.Ordinal));
        Assert.DoesNotContain("ERROR", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_stored_says_why()
    {
        string[] lines = Render([(Session("10.0.0.1", "web1") with { Error = "No space left" }, 0)], 100, 24);

        Assert.EndsWith("ERROR", lines[1].TrimEnd(), StringComparison.Ordinal);
        Assert.Contains("No\u00a0space", lines[2], StringComparison.Ordinal);
    }

    private static SessionRow Session(string client, string host) => new(client, host, "receiving", new(2026, 11, 21, 12, 0, 0, DateTimeKind.Utc), 13.2,
        Bytes: 48 << 20, TotalBytes: null, ExpectedBytes: 192 << 20, Packets: 7, Repeated: 3, Port: 20100, DumpId: "id", File: "partial", Error: null);

    private static string[] Render(IReadOnlyList<(SessionRow, double)> sessions, int width, int height)
    {
        using var text = new StringWriter();
        var console = AnsiConsole.Create(new() { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = width;
        console.Write(TopTable.Of(sessions, width, height));
        return text.ToString().TrimEnd('\n').Split('\n');
    }
}
