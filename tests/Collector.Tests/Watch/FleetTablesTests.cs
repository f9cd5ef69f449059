using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Collector.Watch;
using Spectre.Console;

namespace NetdumpCollector.Collector.Tests.Watch;

public sealed class FleetTablesTests
{
    private static readonly FleetGlance s_fleet = new(
        [Node("a", "live", 0.4), Node("b", "dead", 9.6), Node("c", "left", 100)],
        [new("id", "web1", "192.0.2.50", new(2026, 11, 22, 3, 4, 5, DateTimeKind.Utc), 48 << 20, "complete", "[page fault]", "vmcore.web1.0", Pinned: false, Node: "a")]);

    [Fact]
    public void Nodes_that_are_dead_come_first_and_what_panicked_last_is_told()
    {
        string[] lines = Render(s_fleet);

        Assert.Equal(FleetTables.LinesOf(s_fleet, 24), lines.Length);
        Assert.Contains("1 of 3 nodes live", lines[0], StringComparison.Ordinal);
        Assert.Matches("^b +dead +192[.]0[.]2[.]1:20023 +2 +10.s.ago", lines[2]);
        Assert.StartsWith("a", lines[3], StringComparison.Ordinal);
        Assert.StartsWith("c", lines[4], StringComparison.Ordinal);
        Assert.Matches("^2026-11-22.03:04:05 +a +web1 +48.*MiB +complete +[[]page.fault[]]", lines[^1]);
    }

    [Fact]
    public void Sessions_keep_ten_lines_and_where_there_is_no_fleet_all()
    {
        Assert.Equal(8, FleetTables.LinesOf(s_fleet, 18));
        Assert.Equal(0, FleetTables.LinesOf(s_fleet, 17));
        Assert.Equal(0, FleetTables.LinesOf(FleetGlance.None, 60));
    }

    private static NodeRow Node(string name, string state, double silentSeconds) =>
        new(name, state, "192.0.2.1", 20023, null, "1.2.3", new(2026, 11, 22, 0, 0, 0, DateTimeKind.Utc), silentSeconds, Receiving: 2, Guid.Empty);

    private static string[] Render(FleetGlance fleet)
    {
        using var text = new StringWriter();
        var console = AnsiConsole.Create(new() { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 100;
        foreach (var table in FleetTables.Of(fleet))
            console.Write(table);
        return text.ToString().TrimEnd('\n').Split('\n');
    }
}
