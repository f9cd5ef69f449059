using Npgsql;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>The catalogue for those who only look: requests over HTTP, and commands. Thread-safe; each call takes one of a few connections.</summary>
public sealed class FleetReader : IAsyncDisposable
{
    /// <summary>Ids that one key may mean before it is refused as too short.</summary>
    private const int MaxFound = 20;

    private const string DumpColumns = "id, node, directory, path, url, host, host(client), started_at, bytes, status, panic, pinned, continues, within";

    private static readonly Dictionary<string, string> s_orders = new()
    {
        ["startedAt"] = "started_at",
        ["bytes"] = "bytes",
        ["host"] = "host collate \"C\"",
        ["status"] = "status collate \"C\"",
    };

    private readonly ClusterAddress _address;
    private readonly NpgsqlDataSource _source;

    private FleetReader(ClusterAddress address, NpgsqlDataSource source) => (_address, _source) = (address, source);

    /// <exception cref="FleetException">The connection string is wrong.</exception>
    public static FleetReader Open(ClusterAddress address, string node) => new(address, FleetConnections.Source(address, $"netdump-collector {node} (reads)", isPooled: true));

    public ValueTask DisposeAsync() => _source.DisposeAsync();

    /// <summary>Nodes and sessions.</summary>
    /// <param name="except">The node whose sessions are not wanted; "" for none.</param>
    /// <param name="cancellation">Gives it up.</param>
    public Task<FleetSnapshot> SnapshotAsync(string except, CancellationToken cancellation) => AskAsync(async connection =>
    {
        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new(FleetDatabase.GetNodes), new(FleetDatabase.GetSessions) { Parameters = { new() { Value = except } } } } };
        await using var reader = await batch.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        return await FleetDatabase.ReadSnapshotAsync(reader, hasTallies: false, cancellation).ConfigureAwait(false);
    }, cancellation);

    /// <summary>The first rows of those that match, and how many match.</summary>
    public Task<(IReadOnlyList<FleetDump> Dumps, int Total)> DumpsAsync(FleetDumpQuery query, CancellationToken cancellation) => AskAsync(async connection =>
    {
        await using var command = new NpgsqlCommand($"""
            select {DumpColumns}, null, count(*) over ()
            from netdump.dumps
            where removed_at is null and ($1::uuid is null or directory <> $1 or path is null) and ($2::text is null or status = $2) and ($3::text is null or host = $3)
                and ($4::text is null or host(client) = $4) and ($5::text is null or strpos(lower(panic), lower($5)) > 0)
                and ($6::timestamptz is null or started_at >= $6) and ($7::timestamptz is null or started_at < $7)
            order by {s_orders[query.Order]} {(query.IsDescending ? "desc" : "asc")}, id collate "C"
            limit $8
            """, connection);
        foreach (object? value in (ReadOnlySpan<object?>)[query.NotIn, query.Status, query.Host, query.Client, query.Panic, query.Since?.ToUniversalTime(), query.Until?.ToUniversalTime(), query.Limit])
            command.Parameters.Add(new() { Value = value ?? DBNull.Value });
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        var dumps = new List<FleetDump>();
        long total = 0;
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
        {
            dumps.Add(DumpOf(reader));
            total = reader.GetInt64(15);
        }

        return ((IReadOnlyList<FleetDump>)dumps, (int)Math.Min(total, int.MaxValue));
    }, cancellation);

    /// <summary>The dumps that a key may mean: a whole id, else <c>HOST.N</c>, else the start of an id; with their manifests.</summary>
    public Task<IReadOnlyList<FleetDump>> FindAsync(string key, CancellationToken cancellation) => AskAsync<IReadOnlyList<FleetDump>>(async connection =>
    {
        int dot = key.LastIndexOf('.');
        bool isName = dot > 0 && long.TryParse(key.AsSpan(dot + 1), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out _);
        foreach (var (condition, value) in new (string, string)[] { ("id = $1", key), ("host = $1 and manifest ->> 'index' = $2", isName ? key[..dot] : ""), ("starts_with(id, $1)", key) })
        {
            if (value.Length == 0)
                continue;
            await using var command = new NpgsqlCommand($"select {DumpColumns}, manifest::text from netdump.dumps where removed_at is null and {condition} order by id collate \"C\" limit {MaxFound}", connection);
            command.Parameters.Add(new() { Value = value });
            if (condition.Contains("$2", StringComparison.Ordinal))
                command.Parameters.Add(new() { Value = key[(dot + 1)..] });
            await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
            var found = new List<FleetDump>();
            while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
                found.Add(DumpOf(reader));
            if (found.Count > 0)
                return found;
        }

        return [];
    }, cancellation);

    /// <summary>Of parts, those whose bytes are in a whole dump, by their ids.</summary>
    /// <param name="parts">Ids of parts, each with the id of the part that began its dump.</param>
    /// <param name="cancellation">Gives it up.</param>
    public Task<IReadOnlyDictionary<string, DumpWhole>> WholesAsync(IReadOnlyCollection<(string Id, string Root)> parts, CancellationToken cancellation) => AskAsync<IReadOnlyDictionary<string, DumpWhole>>(async connection =>
    {
        await using var command = new NpgsqlCommand("""
            select segment ->> 'id', d.id, d.node from netdump.dumps d, lateral jsonb_array_elements(d.segments) as segment
            where d.removed_at is null and d.status in ('complete', 'damaged') and (d.id = any ($2) or d.continues = any ($2)) and segment ->> 'id' = any ($1) and segment ->> 'id' <> d.id
            """, connection)
        {
            Parameters = { new() { Value = parts.Select(part => part.Id).ToArray() }, new() { Value = parts.Select(part => part.Root).Distinct().ToArray() } },
        };
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        var wholes = new Dictionary<string, DumpWhole>();
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
            wholes[reader.GetString(0)] = new(reader.GetString(1), reader.GetString(2));
        return wholes;
    }, cancellation);

    /// <summary>The ended parts of a dump that lie in a directory or in an object store, with their manifests, which may lack ranges of long lists.</summary>
    /// <param name="root">The id of the part that began it, which is one of them.</param>
    /// <param name="cancellation">Gives it up.</param>
    public Task<IReadOnlyList<FleetDump>> PartsAsync(string root, CancellationToken cancellation) => AskAsync<IReadOnlyList<FleetDump>>(async connection =>
    {
        await using var command = new NpgsqlCommand($"select {DumpColumns}, manifest::text from netdump.dumps where removed_at is null and (id = $1 or continues = $1) order by epoch, id", connection)
        {
            Parameters = { new() { Value = root } },
        };
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        var parts = new List<FleetDump>();
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
            parts.Add(DumpOf(reader));
        return parts;
    }, cancellation);

    /// <summary>The schema's version, 0 where there is none, and the size of its tables with their indexes in bytes.</summary>
    public Task<(int Version, long Bytes, long Dumps)> StatusAsync(CancellationToken cancellation) => AskAsync(async connection =>
    {
        int version = await FleetSchema.CheckAsync(connection, null, cancellation).ConfigureAwait(false);
        if (version == 0)
            return (0, 0L, 0L);
        await using var command = new NpgsqlCommand("""
            select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, (select count(*) from netdump.dumps where removed_at is null)
            from pg_class c where c.relnamespace = 'netdump'::regnamespace and c.relkind = 'r'
            """, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        _ = await reader.ReadAsync(cancellation).ConfigureAwait(false);
        return (version, reader.GetInt64(0), reader.GetInt64(1));
    }, cancellation);

    /// <summary>The version of the catalogue's tables; 0 where it has none.</summary>
    /// <exception cref="FleetException">It cannot be reached within 3 s, or this program cannot work with them.</exception>
    public Task<int> VersionAsync(CancellationToken cancellation) => AskAsync(connection => FleetSchema.CheckAsync(connection, null, cancellation), cancellation);

    private static FleetDump DumpOf(NpgsqlDataReader row) => new(
        row.GetString(0), row.GetString(1), row.GetGuid(2), FleetRows.Text(row, 3), FleetRows.Text(row, 4), row.GetString(5), row.GetString(6), row.GetFieldValue<DateTimeOffset>(7),
        row.GetInt64(8), row.GetString(9), FleetRows.Text(row, 10), row.GetBoolean(11), FleetRows.Text(row, 12), FleetRows.Text(row, 13), FleetRows.Text(row, 14));

    private Task<T> AskAsync<T>(Func<NpgsqlConnection, Task<T>> ask, CancellationToken cancellation) => FleetConnections.AskAsync(_address, async () =>
    {
        await using var connection = await _source.OpenConnectionAsync(cancellation).ConfigureAwait(false);
        return await ask(connection).ConfigureAwait(false);
    }, cancellation);
}
