using Npgsql;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>The catalogue as a node writes it: one connection, one caller at a time.</summary>
/// <remarks>Everything is an upsert or says exactly what it replaces, so that whatever was cut off can be done again.</remarks>
public sealed partial class FleetDatabase : IAsyncDisposable
{
    /// <summary>So long after its last sign of life, by the database's clock, a node counts as dead.</summary>
    public static readonly TimeSpan DeadAfter = TimeSpan.FromSeconds(4);

    private readonly ClusterAddress _address;
    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _connection;
    private long _statements;

    private FleetDatabase(ClusterAddress address, NpgsqlDataSource source, NpgsqlConnection connection) => (_address, _source, _connection) = (address, source, connection);

    /// <summary>Statements that were sent.</summary>
    public long Statements => Interlocked.Read(ref _statements);

    /// <summary>Connects and brings the schema to this program's version.</summary>
    /// <param name="address">The database.</param>
    /// <param name="node">The node's name, by which the database's administrator tells its connections.</param>
    /// <param name="cancellation">Gives it up.</param>
    /// <exception cref="FleetException">It cannot be used.</exception>
    public static async Task<FleetDatabase> OpenAsync(ClusterAddress address, string node, CancellationToken cancellation)
    {
        var source = FleetConnections.Source(address, $"netdump-collector {node}", isPooled: false);
        NpgsqlConnection? connection = null;
        try
        {
            connection = await FleetConnections.OpenAsync(source, address, cancellation).ConfigureAwait(false);
            _ = await FleetSchema.MigrateAsync(connection, address, isPatient: false, cancellation).ConfigureAwait(false);
            return new(address, source, connection);
        }
        catch
        {
            await FleetConnections.CloseAsync(connection, source).ConfigureAwait(false);
            throw;
        }
    }

    public ValueTask DisposeAsync() => FleetConnections.CloseAsync(_connection, _source);

    /// <summary>Digests of the dumps that the catalogue believes to lie in a directory, by id, with their paths.</summary>
    public Task<IReadOnlyDictionary<string, (string? Path, string Digest)>> KnownDumpsAsync(Guid directory, CancellationToken cancellation) => AskAsync<IReadOnlyDictionary<string, (string?, string)>>(async () =>
    {
        await using var command = Command("select id, path, digest from netdump.dumps where directory = $1 and path is not null and removed_at is null", directory);
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        var known = new Dictionary<string, (string?, string)>();
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
            known.Add(reader.GetString(0), (reader.GetString(1), reader.GetString(2)));
        return known;
    }, cancellation);

    /// <summary>Writes what became of ended dumps; no id twice.</summary>
    /// <exception cref="FleetException">Nothing of it is there.</exception>
    public Task ApplyAsync(NodeIdentity node, IReadOnlyCollection<OutboxEntry> entries, CancellationToken cancellation) => AskAsync(async () =>
    {
        await using var batch = new NpgsqlBatch(_connection);
        OutboxEntry[] changed = [.. entries.Where(entry => entry.Dump is not null)];
        if (changed.Length > 0)
        {
            Add(batch, PutDumps, node.Directory, node.Name, Texts(changed.Select(entry => entry.DumpId)), Texts(changed.Select(entry => entry.Dump!.Path)),
                Texts(changed.Select(entry => entry.Dump!.Json)), Texts(changed.Select(entry => entry.Dump!.Digest)));
        }

        string[] removed = [.. entries.Where(entry => entry.Dump is null).Select(entry => entry.DumpId)];
        if (removed.Length > 0)
            Add(batch, RemoveDumps, node.Directory, removed);
        return batch.BatchCommands.Count == 0 ? 0 : await ExecuteAsync(batch, cancellation).ConfigureAwait(false);
    }, cancellation);

    /// <summary>Tells all nodes of events.</summary>
    public Task PublishAsync(string node, IReadOnlyCollection<FleetEvent> events, CancellationToken cancellation) => AskAsync(async () =>
    {
        await using var batch = new NpgsqlBatch(_connection);
        Add(batch, PutEvents, node, events.Select(what => what.At.ToUniversalTime()).ToArray(), Texts(events.Select(what => what.Type)), Texts(events.Select(what => what.Json)));
        return await ExecuteAsync(batch, cancellation).ConfigureAwait(false);
    }, cancellation);

    /// <summary>Takes away what is old; where several nodes do it at once, one of them does.</summary>
    public Task TidyAsync(CancellationToken cancellation) => AskAsync(async () =>
    {
        await using var batch = new NpgsqlBatch(_connection);
        foreach (string statement in s_tidying)
            Add(batch, statement);
        return await ExecuteAsync(batch, cancellation).ConfigureAwait(false);
    }, cancellation);

    /// <summary>The node ends: what it received is nobody's from now on.</summary>
    public Task LeaveAsync(NodeIdentity node, CancellationToken cancellation) => AskAsync(async () =>
    {
        await using var batch = new NpgsqlBatch(_connection);
        Add(batch, "update netdump.nodes set left_at = now(), heartbeat_at = now() where name = $1 and instance = $2", node.Name, node.Instance);
        return await ExecuteAsync(batch, cancellation).ConfigureAwait(false);
    }, cancellation);

    private Task<T> AskAsync<T>(Func<Task<T>> ask, CancellationToken cancellation) => FleetConnections.AskAsync(_address, ask, cancellation);

    private NpgsqlCommand Command(string text, params ReadOnlySpan<object> values)
    {
        Interlocked.Increment(ref _statements);
        var command = new NpgsqlCommand(text, _connection);
        foreach (object value in values)
            command.Parameters.Add(new() { Value = value });
        return command;
    }

    private async Task<int> ExecuteAsync(NpgsqlBatch batch, CancellationToken cancellation)
    {
        Interlocked.Add(ref _statements, batch.BatchCommands.Count);
        return await batch.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
    }

    private static void Add(NpgsqlBatch batch, string text, params ReadOnlySpan<object> values)
    {
        var command = new NpgsqlBatchCommand(text);
        foreach (object value in values)
            command.Parameters.Add(value as NpgsqlParameter ?? new() { Value = value });
        batch.BatchCommands.Add(command);
    }


    private static string?[] Texts(IEnumerable<string?> texts) => [.. texts.Select(Clean)];

    /// <summary>A text without what the database has no place for.</summary>
    private static string? Clean(string? text) => text?.Replace("\0", "", StringComparison.Ordinal);
}

/// <summary>Something that all nodes are told of.</summary>
/// <param name="At">When it happened.</param>
/// <param name="Type">As in <c>CollectorEvent.Type</c>.</param>
/// <param name="Json">The event as a CloudEvent.</param>
public sealed record FleetEvent(DateTimeOffset At, string Type, string Json);
