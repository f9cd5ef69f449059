using Npgsql;
using NpgsqlTypes;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>What a node tells each second.</summary>
/// <param name="Dumps">Dumps that arrive here.</param>
/// <param name="Sessions">Those of them that have files; null where none has any and none had any before.</param>
/// <param name="Tallies">What was stored whole of each panic message, where that has changed; else null.</param>
/// <param name="WantsTallies">The node's policy needs those of the others.</param>
public sealed record FleetBeat(int Dumps, IReadOnlyList<FleetSession>? Sessions, IReadOnlyList<PanicTally>? Tallies, bool WantsTallies);

public sealed partial class FleetDatabase
{
    /// <summary>Tells that the node lives, and how far its sessions are, and learns the same of the others: one exchange.</summary>
    /// <param name="node">This node.</param>
    /// <param name="beat">What it tells.</param>
    /// <param name="cancellation">Gives it up.</param>
    /// <returns>The fleet; null where another node lives under this node's name, and nothing was written.</returns>
    public Task<FleetSnapshot?> BeatAsync(NodeIdentity node, FleetBeat beat, CancellationToken cancellation) => AskAsync<FleetSnapshot?>(async () =>
    {
        await using var batch = new NpgsqlBatch(_connection);
        Add(batch, PutNode, node.Name, node.Instance, node.Directory, node.Address, node.Port, (object?)node.Url ?? DBNull.Value, node.Version, node.StartedAt.ToUniversalTime(), beat.Dumps);
        if (beat.Sessions is { } sessions)
            Add(batch, sessions, node);
        if (beat.Tallies is { } tallies)
            Add(batch, PutPanics, node.Name, node.Instance, Texts(tallies.Select(tally => tally.Signature)), tallies.Select(tally => tally.Dumps).ToArray(), tallies.Select(tally => tally.AgeUs / 1e6).ToArray());
        Add(batch, GetNodes);
        Add(batch, GetSessions, node.Name);
        if (beat.WantsTallies)
            Add(batch, GetPanics, node.Name);
        Interlocked.Add(ref _statements, batch.BatchCommands.Count);
        await using var reader = await batch.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        bool ownsName = await reader.ReadAsync(cancellation).ConfigureAwait(false);
        _ = await reader.NextResultAsync(cancellation).ConfigureAwait(false);
        var snapshot = await ReadSnapshotAsync(reader, beat.WantsTallies, cancellation).ConfigureAwait(false);
        return ownsName ? snapshot : null;
    }, cancellation);

    /// <summary>Reads the results of <see cref="GetNodes"/>, <see cref="GetSessions"/> and, where asked for, <see cref="GetPanics"/>, which are next.</summary>
    internal static async Task<FleetSnapshot> ReadSnapshotAsync(NpgsqlDataReader reader, bool hasTallies, CancellationToken cancellation)
    {
        var nodes = new List<FleetNode>();
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
            nodes.Add(FleetRows.Node(reader));
        _ = await reader.NextResultAsync(cancellation).ConfigureAwait(false);
        var sessions = new List<FleetSession>();
        while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
            sessions.Add(FleetRows.Session(reader));
        var tallies = new List<PanicTally>();
        if (hasTallies)
        {
            _ = await reader.NextResultAsync(cancellation).ConfigureAwait(false);
            while (await reader.ReadAsync(cancellation).ConfigureAwait(false))
                tallies.Add(new(reader.GetString(0), reader.GetInt32(1), (long)(reader.GetDouble(2) * 1e6)));
        }

        return new(nodes, sessions, tallies);
    }

    private static void Add(NpgsqlBatch batch, IReadOnlyList<FleetSession> sessions, NodeIdentity node) => Add(batch, PutSessions, node.Name, node.Instance,
        Texts(sessions.Select(session => session.DumpId)),
        Texts(sessions.Select(session => session.Client.ToString())),
        sessions.Select(session => (int)session.ClientPort).ToArray(),
        Nullable(Texts(sessions.Select(session => session.Host))),
        Texts(sessions.Select(session => session.Endpoint)),
        Texts(sessions.Select(session => session.EndpointAddress.ToString())),
        sessions.Select(session => (int)session.EndpointPort).ToArray(),
        Texts(sessions.Select(session => session.Path)),
        Texts(sessions.Select(session => session.Phase)),
        sessions.Select(session => session.Epoch).ToArray(),
        sessions.Select(session => session.Bytes).ToArray(),
        sessions.Select(session => session.TotalBytes).ToArray(),
        sessions.Select(session => session.ExpectedBytes).ToArray(),
        sessions.Select(session => session.Packets).ToArray(),
        sessions.Select(session => session.Repeated).ToArray(),
        sessions.Select(session => (float)session.SilentSeconds).ToArray(),
        Nullable(Texts(sessions.Select(session => session.Error))),
        sessions.Select(session => session.StartedAt.ToUniversalTime()).ToArray(),
        Nullable(Texts(sessions.Select(session => session.Continues))));

    private static NpgsqlParameter Nullable(string?[] texts) => new() { Value = texts, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text };
}
