using Npgsql;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>Hears of what other nodes tell, by a connection of its own.</summary>
/// <remarks>A notification has the first and last number of rows that were added together, and the node that did; rows of one node are never seen before their notification, whatever numbers others have.</remarks>
public sealed class FleetListener : IAsyncDisposable
{
    /// <summary>What was told while the connection was away is caught up with, but not more than this.</summary>
    private const string Missed = "now() - interval '1 minute'";

    private const int MaxRows = 1000;

    private readonly ClusterAddress _address;
    private readonly string _node;
    private readonly NpgsqlDataSource _source;
    private readonly NpgsqlConnection _connection;
    private readonly Queue<(long First, long Last)> _told = new();

    private FleetListener(ClusterAddress address, string node, NpgsqlDataSource source, NpgsqlConnection connection)
    {
        (_address, _node, _source, _connection) = (address, node, source, connection);
        _connection.Notification += (_, notification) => Note(notification.Payload);
    }

    /// <summary>Begins to listen.</summary>
    /// <exception cref="FleetException">The database cannot be used.</exception>
    public static async Task<FleetListener> OpenAsync(ClusterAddress address, string node, CancellationToken cancellation)
    {
        var source = FleetConnections.Source(address, $"netdump-collector {node} (listens)", isPooled: false);
        NpgsqlConnection? connection = null;
        try
        {
            connection = await FleetConnections.OpenAsync(source, address, cancellation).ConfigureAwait(false);
            var listener = new FleetListener(address, node, source, connection);
            _ = await FleetConnections.AskAsync(address, async () =>
            {
                await using var command = new NpgsqlCommand("listen netdump_events", connection);
                return await command.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
            }, cancellation).ConfigureAwait(false);
            return listener;
        }
        catch
        {
            await FleetConnections.CloseAsync(connection, source).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>What other nodes told in the last minute.</summary>
    public Task<IReadOnlyList<(long Number, string Node, FleetEvent Event)>> CatchUpAsync(CancellationToken cancellation) =>
        ReadAsync($"at > {Missed}", [], cancellation);

    /// <summary>Waits until other nodes tell something, at most so long, and has it.</summary>
    public async Task<IReadOnlyList<(long Number, string Node, FleetEvent Event)>> WaitAsync(TimeSpan patience, CancellationToken cancellation)
    {
        if (_told.Count == 0)
            _ = await FleetConnections.AskAsync(_address, () => _connection.WaitAsync(patience, cancellation), cancellation).ConfigureAwait(false);
        return _told.TryDequeue(out var told) ? await ReadAsync("number between $2 and $3", [told.First, told.Last], cancellation).ConfigureAwait(false) : [];
    }

    public ValueTask DisposeAsync() => FleetConnections.CloseAsync(_connection, _source);

    private Task<IReadOnlyList<(long, string, FleetEvent)>> ReadAsync(string condition, object[] values, CancellationToken cancellation) => FleetConnections.AskAsync<IReadOnlyList<(long, string, FleetEvent)>>(_address, async () =>
    {
        await using var command = new NpgsqlCommand($"select number, node, at, type, event from netdump.events where node <> $1 and {condition} order by number limit {MaxRows}", _connection);
        command.Parameters.Add(new() { Value = _node });
        foreach (object value in values)
            command.Parameters.Add(new() { Value = value });
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        var events = new List<(long, string, FleetEvent)>();
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
            events.Add((reader.GetInt64(0), reader.GetString(1), new(reader.GetFieldValue<DateTimeOffset>(2), reader.GetString(3), reader.GetString(4))));
        return events;
    }, cancellation);

    /// <summary>Whoever may write to the database may notify anything.</summary>
    private void Note(string payload)
    {
        string[] numbers = payload.Split(' ');
        if (_told.Count < MaxRows && numbers.Length == 3 && numbers[2] != _node && long.TryParse(numbers[0], out long first) && long.TryParse(numbers[1], out long last))
            _told.Enqueue((first, last));
    }
}
