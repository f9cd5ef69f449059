using System.Globalization;
using NetdumpCollector.Collector.Fleet;
using NetdumpCollector.Storage;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace NetdumpCollector.Collector.Watch;

/// <summary>The nodes of a fleet and its newest dumps, below its sessions.</summary>
internal static class FleetTables
{
    /// <summary>Dumps that are shown at most.</summary>
    public const int MaxDumps = 5;

    private const int MaxNodes = 8;

    /// <summary>Each table has a title and a head.</summary>
    private const int HeadLines = 2;

    /// <summary>Sessions are what one watches: where they would have fewer lines, they have all.</summary>
    private const int SessionLines = 10;

    /// <summary>As many lines as all of it takes, or 0 where the terminal has no room for it, or there is no fleet.</summary>
    /// <param name="fleet">What is known of it.</param>
    /// <param name="height">Of the terminal, in lines.</param>
    public static int LinesOf(FleetGlance fleet, int height)
    {
        int lines = Math.Min(fleet.Nodes.Count, MaxNodes) + HeadLines + (fleet.Dumps.Count > 0 ? Math.Min(fleet.Dumps.Count, MaxDumps) + HeadLines : 0);
        return fleet.Nodes.Count == 0 || height < SessionLines + lines ? 0 : lines;
    }

    /// <summary>A line for each node, those that need looking at first, and for each of the newest dumps.</summary>
    public static IEnumerable<IRenderable> Of(FleetGlance fleet)
    {
        var nodes = New($"{fleet.Nodes.Count(node => node.State == "live")} of {fleet.Nodes.Count} nodes live", "NODE", "STATE", "ADDRESS", "DUMPS ARRIVING", "HEARD OF");
        foreach (var node in fleet.Nodes.OrderBy(node => node.State is "dead" ? 0 : node.State is "live" ? 1 : 2).ThenBy(node => node.Name, StringComparer.Ordinal).Take(MaxNodes))
            Add(nodes, node.Name, node.State, $"{node.Address}:{node.Port}", string.Create(CultureInfo.InvariantCulture, $"{node.Receiving}"), string.Create(CultureInfo.InvariantCulture, $"{node.SilentSeconds:F0} s ago"));
        yield return nodes;
        if (fleet.Dumps.Count == 0)
            yield break;

        var dumps = New("Newest dumps", "STARTED", "NODE", "HOST", "SIZE", "STATUS", "PANIC");
        foreach (var dump in fleet.Dumps.Take(MaxDumps))
        {
            Add(dumps, dump.StartedAt?.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) ?? "-", dump.Node ?? "-", dump.Host ?? dump.Client ?? "-", ByteSize.Format(dump.Bytes), dump.Status,
                dump.Panic ?? "");
        }

        yield return dumps;
    }

    private static Table New(string title, params string[] heads)
    {
        var table = new Table().Border(TableBorder.None).Title(Markup.Escape(title));
        foreach (string head in heads)
            table.AddColumn(new TableColumn(head));
        return table;
    }

    private static void Add(Table table, params string[] cells) =>
        table.AddRow(cells.Select(cell => new Text(cell.Replace(' ', '\u00a0')) { Overflow = Overflow.Ellipsis }));
}
