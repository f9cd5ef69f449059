using Npgsql;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>The catalogue's tables: which version the database has, and the way to this program's.</summary>
/// <remarks>
/// Versions are embedded files <c>NNNN_name.sql</c>, each applied once, in order, in one transaction under an advisory lock, so that any number of nodes may start at once.
/// A version that older programs can go on with says so (<c>serves_from</c>): then nodes are updated one after the other.
/// </remarks>
public static class FleetSchema
{
    /// <summary>"netdump" as a number.</summary>
    private const long LockKey = 0x6e_6574_6475_6d70;

    private const string Prefix = "Fleet.";

    /// <summary>The oldest version whose programs work with this one's tables.</summary>
    private const int ServesFrom = 1;

    private static readonly string[] s_migrations = [.. typeof(FleetSchema).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>The version that this program wants.</summary>
    public static int Version => s_migrations.Length;

    /// <summary>So long a migration waits for a lock: whoever comes after it to that table waits for it as long.</summary>
    private const int LockPatienceMs = 2000;

    /// <summary>Brings a database to this program's version, however long that takes; one that has it, or a newer one that serves this program, stays as it is.</summary>
    /// <param name="address">The database.</param>
    /// <param name="cancellation">Gives it up, and leaves the database as it was.</param>
    /// <returns>The versions before and after; 0 is none.</returns>
    /// <exception cref="FleetException">It cannot be reached or changed, or its schema is too new.</exception>
    public static async Task<(int Before, int After)> MigrateAsync(ClusterAddress address, CancellationToken cancellation)
    {
        await using var source = FleetConnections.Source(address, "netdump-collector db migrate", isPooled: false);
        await using var connection = await FleetConnections.OpenAsync(source, address, cancellation).ConfigureAwait(false);
        return await MigrateAsync(connection, address, isPatient: true, cancellation).ConfigureAwait(false);
    }

    /// <param name="connection">To the database.</param>
    /// <param name="address">The database.</param>
    /// <param name="isPatient">It may take as long as it takes; else as long as an exchange of a node.</param>
    /// <param name="cancellation">Gives it up.</param>
    internal static async Task<(int Before, int After)> MigrateAsync(NpgsqlConnection connection, ClusterAddress address, bool isPatient, CancellationToken cancellation)
    {
        int before = await FleetConnections.AskAsync(address, () => CheckAsync(connection, null, cancellation), cancellation).ConfigureAwait(false);
        if (before >= Version)
            return (before, before);
        try
        {
            return await FleetConnections.AskAsync(address, () => ApplyAsync(connection, isPatient, cancellation), isPatient ? Timeout.InfiniteTimeSpan : null, cancellation).ConfigureAwait(false);
        }
        catch (FleetException e) when (!isPatient)
        {
            throw new FleetException($"{e.Message} (its schema is version {before} and is to be {Version}; where that takes longer than a node waits, run 'netdump-collector db migrate')", e) { NeedsOperator = e.NeedsOperator };
        }
    }

    private static async Task<(int Before, int After)> ApplyAsync(NpgsqlConnection connection, bool isPatient, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation).ConfigureAwait(false);
        // Behind another node's migration a command waits as long as that takes, a node for its next attempt.
        await ExecuteAsync(connection, transaction, isPatient, $"{(isPatient ? "" : $"set local lock_timeout = {LockPatienceMs}; ")}select pg_advisory_xact_lock({LockKey})", cancellation).ConfigureAwait(false);
        await ExecuteAsync(connection, transaction, isPatient, $"set local lock_timeout = {LockPatienceMs}", cancellation).ConfigureAwait(false);
        // Another node may have done it meanwhile.
        int before = await CheckAsync(connection, transaction, cancellation).ConfigureAwait(false);
        if (before == 0)
        {
            // Who may not create schemas may have been given an empty one.
            await ExecuteAsync(connection, transaction, isPatient, """
                do $$ begin if to_regnamespace('netdump') is null then create schema netdump; end if; end $$;
                create table netdump.migrations (version integer primary key, name text not null, serves_from integer not null, applied_at timestamptz not null default now());
                """, cancellation).ConfigureAwait(false);
        }

        for (int version = before + 1; version <= Version; version++)
        {
            string name = s_migrations[version - 1];
            await ExecuteAsync(connection, transaction, isPatient, TextOf(name), cancellation).ConfigureAwait(false);
            await ExecuteAsync(connection, transaction, isPatient,
                $"insert into netdump.migrations (version, name, serves_from) values ({version}, '{Path.GetFileNameWithoutExtension(name[Prefix.Length..])}', {ServesFrom})", cancellation).ConfigureAwait(false);
        }

        await transaction.CommitAsync(cancellation).ConfigureAwait(false);
        return (before, Math.Max(before, Version));
    }

    /// <summary>The database's version; 0 where it has no tables yet.</summary>
    /// <exception cref="FleetException">Its tables are of a version that this program cannot work with.</exception>
    internal static async Task<int> CheckAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, CancellationToken cancellation)
    {
        await using var there = new NpgsqlCommand("select to_regclass('netdump.migrations') is not null", connection, transaction);
        if (await there.ExecuteScalarAsync(cancellation).ConfigureAwait(false) is not true)
            return 0;
        await using var command = new NpgsqlCommand("select coalesce(max(version), 0), coalesce(max(serves_from), 0) from netdump.migrations", connection, transaction);
        await using var reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        _ = await reader.ReadAsync(cancellation).ConfigureAwait(false);
        int version = reader.GetInt32(0);
        return reader.GetInt32(1) <= Version ? version
            : throw new FleetException($"the catalogue's schema is version {version}, which programs of version {Version} such as this one cannot use; update netdump-collector on this node") { NeedsOperator = true };
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, bool isPatient, string statement, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(statement, connection, transaction);
        if (isPatient)
            command.CommandTimeout = 0;
        _ = await command.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
    }

    private static string TextOf(string name)
    {
        using var stream = typeof(FleetSchema).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
