using System.Globalization;
using NetdumpCollector.Collector.Http;
using NetdumpCollector.Storage;
using Spectre.Console;

namespace NetdumpCollector.Collector.Watch;

/// <summary>Who is dumping, as a table that fits a terminal: a session is a line, and what it all comes to stays in sight.</summary>
internal static class TopTable
{
    private const int MaxRows = 40;

    /// <summary>Title, head, the words below, and the line that the cursor is on.</summary>
    private const int OtherLines = 4;

    /// <summary>All columns fit into so many characters, with names of usual length.</summary>
    private const int WideColumns = 100;

    private sealed record Column(string Head, Func<SessionRow, double, string> Text, bool MayShrink = false);

    /// <param name="sessions">With their bytes per second, those first that are to be seen first.</param>
    /// <param name="width">Of the terminal, in characters.</param>
    /// <param name="height">Of the terminal, in lines.</param>
    public static Table Of(IReadOnlyList<(SessionRow Session, double BytesPerSecond)> sessions, int width, int height)
    {
        int receiving = sessions.Count(one => one.Session.Phase == SessionPhases.Receiving);
        var table = new Table().Border(TableBorder.None).Title(Plain($"{receiving} dumps arriving, {ByteSize.Format(sessions.Sum(one => one.BytesPerSecond))}/s, {sessions.Count} sessions"));
        Column[] columns = [.. ColumnsOf(width >= WideColumns, sessions.Any(one => one.Session.Error is not null), sessions.Any(one => one.Session.Node is not null))];
        foreach (var column in columns)
            table.AddColumn(column.MayShrink ? new TableColumn(column.Head) : new TableColumn(column.Head).NoWrap());
        int rows = Math.Clamp(height - OtherLines, 1, MaxRows);
        foreach (var (session, bytesPerSecond) in sessions.Take(rows))
            table.AddRow(columns.Select(column => new Text(OneLine(column.Text(session, bytesPerSecond))) { Overflow = Overflow.Ellipsis }));

        if (sessions.Count > rows)
            table.Caption(Plain($"and {sessions.Count - rows} more"));
        return table;
    }

    private static IEnumerable<Column> ColumnsOf(bool isWide, bool hasErrors, bool isFleet)
    {
        if (isFleet)
            yield return new("NODE", (session, _) => session.Node ?? "-", MayShrink: true);
        yield return new("CLIENT", (session, _) => session.Client);
        yield return new("HOST", (session, _) => session.Host ?? "-", MayShrink: true);
        yield return new("PHASE", (session, _) => session.Phase);
        yield return new("RECEIVED", (session, _) => ByteSize.Format(session.Bytes));
        yield return new("DONE", (session, _) => SessionProgress.PercentOf(session));
        yield return new("PER SECOND", (_, bytesPerSecond) => ByteSize.Format(bytesPerSecond));
        yield return new("LEFT", SessionProgress.TimeLeftOf);
        yield return new("SILENT", (session, _) => string.Create(CultureInfo.InvariantCulture, $"{session.SilentSeconds:F0} s"));
        if (isWide)
            yield return new("REPEATED", (session, _) => string.Create(CultureInfo.InvariantCulture, $"{session.Repeated}"));
        if (hasErrors)
            yield return new("ERROR", (session, _) => session.Error ?? "", MayShrink: true);
    }

    /// <summary>A table breaks lines at blanks, and only there.</summary>
    private static string OneLine(string text) => text.Replace(' ', '\u00a0');

    /// <summary>What hosts call themselves is no markup.</summary>
    private static string Plain(string text) => Markup.Escape(text);
}
