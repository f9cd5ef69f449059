using NetdumpCollector.Protocol;
using Npgsql;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>Rows of the catalogue as what they stand for.</summary>
internal static class FleetRows
{
    /// <summary>A row of <see cref="FleetDatabase.GetNodes"/>.</summary>
    public static FleetNode Node(NpgsqlDataReader row)
    {
        var state = row.GetBoolean(10) ? FleetNodeState.Left : row.GetBoolean(11) ? FleetNodeState.Dead : FleetNodeState.Live;
        var identity = new NodeIdentity(row.GetString(0), row.GetGuid(1), row.GetGuid(2), row.GetString(3), row.GetInt32(4), Text(row, 5), row.GetString(6), row.GetFieldValue<DateTimeOffset>(7));
        return new(identity, state, TimeSpan.FromSeconds(Math.Max(0, row.GetDouble(9))), row.GetInt32(8));
    }

    /// <summary>A row of <see cref="FleetDatabase.GetSessions"/>.</summary>
    public static FleetSession Session(NpgsqlDataReader row) => new()
    {
        DumpId = row.GetString(0),
        Node = row.GetString(1),
        Client = Address(row, 2),
        ClientPort = (ushort)row.GetInt32(3),
        Host = Text(row, 4),
        Endpoint = row.GetString(5),
        EndpointAddress = Address(row, 6),
        EndpointPort = (ushort)row.GetInt32(7),
        Path = row.GetString(8),
        Phase = row.GetString(9),
        Epoch = row.GetInt32(10),
        Bytes = row.GetInt64(11),
        TotalBytes = row.IsDBNull(12) ? null : row.GetInt64(12),
        ExpectedBytes = row.IsDBNull(13) ? null : row.GetInt64(13),
        Packets = row.GetInt64(14),
        Repeated = row.GetInt64(15),
        SilentSeconds = row.GetDouble(16),
        Error = Text(row, 17),
        StartedAt = row.GetFieldValue<DateTimeOffset>(18),
        Continues = Text(row, 19),
    };

    public static string? Text(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static Ipv4 Address(NpgsqlDataReader row, int column) => Ipv4.TryParse(row.GetString(column), out var address) ? address : Ipv4.Any;
}
