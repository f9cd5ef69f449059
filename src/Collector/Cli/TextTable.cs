using System.Text;

namespace NetdumpCollector.Collector.Cli;

/// <summary>Rows as aligned columns, plain text that pipes well.</summary>
internal sealed class TextTable(params string[] header)
{
    private readonly List<string[]> _rows = [header];

    public void Add(params string[] cells) => _rows.Add(cells);

    public void Write(TextWriter output)
    {
        int[] widths = [.. Enumerable.Range(0, header.Length).Select(column => _rows.Max(row => row[column].Length))];
        foreach (string[] row in _rows)
        {
            var line = new StringBuilder();
            for (int column = 0; column < row.Length; column++)
                line.Append(row[column].PadRight(widths[column] + 2));
            output.WriteLine(line.ToString().TrimEnd());
        }
    }
}
