using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Dumps;

/// <summary>The dumps of a directory in short.</summary>
internal sealed class DumpList
{
    /// <summary>The status of a dump that a server receives now.</summary>
    public const string Receiving = "receiving";

    /// <summary>The status of a dump that no server receives now.</summary>
    public const string Interrupted = "interrupted";
    private const string Complete = "complete";
    private const int MaxPanicChars = 48;

    private readonly string _place;
    private readonly IEnumerable<string> _problems;

    private DumpList(string place, IReadOnlyList<Row> rows, IEnumerable<string> problems)
    {
        _place = place;
        _problems = problems;
        Rows = rows;
    }

    /// <summary>Ended dumps, the oldest first, then those that have not ended.</summary>
    public IReadOnlyList<Row> Rows { get; }

    /// <param name="catalog">The directory.</param>
    /// <param name="node">Whose it is; null without a fleet.</param>
    public static DumpList Of(DumpCatalog catalog, string? node = null) => new(catalog.Root,
        [.. catalog.Dumps.Select(dump => RowOf(dump.Manifest, Path.GetRelativePath(catalog.Root, dump.VmcorePath)) with { Node = node }), .. catalog.Partials.Select(partial => RowOf(partial, catalog.Root) with { Node = node })],
        catalog.Problems.Select(problem => $"{problem.Path}: {problem.Reason}"));

    /// <summary>Dumps in an object store; where a file's path would stand, each has its address.</summary>
    public static DumpList Of(string store, IEnumerable<Manifest> dumps, IEnumerable<string> problems) => new(store, [.. dumps.Select(dump => RowOf(dump, dump.Stored!.Url))], problems);

    /// <summary>Dumps that were found otherwise.</summary>
    /// <param name="where">Where, in words.</param>
    /// <param name="rows">They.</param>
    public static DumpList Of(string where, IReadOnlyList<Row> rows) => new(where, rows, []);

    /// <summary>Every status that a row can have.</summary>
    public static IReadOnlyList<string> Statuses { get; } = [.. Enum.GetNames<DumpStatus>().Select(name => name.ToLowerInvariant()), Receiving, Interrupted];

    public static string StatusOf(PartialDump partial) => partial.IsRunning ? Receiving : Interrupted;

    public void WriteJson(TextWriter output) => output.WriteLine(JsonSerializer.Serialize(Rows, JsonText.Indented));

    public void WriteTable(CommandIo io)
    {
        if (Rows.Count == 0)
            io.Output.WriteLine($"No dumps in {_place}.");
        else
        {
            bool isFleet = Rows.Any(row => row.Node is not null);
            var table = new TextTable([.. isFleet ? ["NODE"] : Array.Empty<string>(), "ID", "HOST", "CLIENT", "STARTED", "SIZE", "STATUS", "PANIC", "FILE"]);
            foreach (var row in Rows)
            {
                table.Add([.. isFleet ? [row.Node ?? "-"] : Array.Empty<string>(), row.Id ?? "-", row.Host ?? "-", row.Client ?? "-", row.StartedAt?.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture) ?? "-",
                    ByteSize.Format(row.Bytes), StatusOf(row), Shorten(row.Panic), row.File]);
            }

            table.Write(io.Output);
        }

        foreach (string problem in _problems)
            io.Complain(problem);
    }

    private static string StatusOf(Row row)
    {
        string status = row switch
        {
            { Within: string whole } => $"{row.Status}, whole as {whole}",
            { Continues: string id } when row.Status != Complete => $"{row.Status}, part of {id}",
            _ => row.Status,
        };
        return row.Pinned ? $"{status}, pinned" : status;
    }

    private static string Shorten(string? panic) => panic switch
    {
        null or "" => "-",
        { Length: > MaxPanicChars } => $"{panic.AsSpan(0, MaxPanicChars - 3)}...",
        _ => panic,
    };

    private static Row RowOf(Manifest dump, string file) => new(
        dump.Id, dump.Host, dump.Client, dump.StartedAt.UtcDateTime, (long)dump.Bytes, dump.Status.ToString().ToLowerInvariant(), dump.Kdh?.PanicString, file, dump.Pinned)
    { Continues = dump.Continues?.Id, Within = dump.Within?.Id };

    internal static Row RowOf(PartialDump partial, string root) => new(
        partial.Opened?.Identity.Id, null, partial.Opened?.Identity.Client.ToString(), partial.Opened?.Identity.StartedAt.UtcDateTime, partial.LengthBytes,
        StatusOf(partial), null, Path.GetRelativePath(root, partial.Path), Pinned: false)
    { Continues = partial.Opened?.Identity.Continues?.Id };

    /// <summary>One dump; its JSON is a published format.</summary>
    /// <param name="Id">Null for a left-over without a readable ledger; so are the other nulls.</param>
    /// <param name="Host">As in the file names.</param>
    /// <param name="Client">The client's address.</param>
    /// <param name="StartedAt">When its herald came, UTC.</param>
    /// <param name="Bytes">Length of the file.</param>
    /// <param name="Status">What it is worth, or that it has not ended.</param>
    /// <param name="Panic">The panic string of its header.</param>
    /// <param name="File">Path from the dump directory, or address in the store.</param>
    /// <param name="Pinned">Retention never deletes it.</param>
    /// <param name="Node">The node that has it, null without a fleet.</param>
    internal sealed record Row(string? Id, string? Host, string? Client, DateTime? StartedAt, long Bytes, string Status, string? Panic, string File, bool Pinned, string? Node = null)
    {
        /// <summary>The dump whose part this is, which another node began; null for all others.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Continues { get; init; }

        /// <summary>The whole dump, at another node, that this part is inside of; null for all others.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public string? Within { get; init; }
    }
}
