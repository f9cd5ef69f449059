using System.Diagnostics;
using System.Runtime.Versioning;

namespace NetdumpCollector.EndToEnd.Tests.Fleet;

/// <summary>The way from one version of the catalogue's tables to the next, in a database that is used.</summary>
[Collection(PostgresTests.Name)]
[UnsupportedOSPlatform("windows")]
public sealed class FleetSchemaTests(PostgresFixture postgres)
{
    /// <summary>Behind it whoever wants the table waits too, running nodes among them.</summary>
    [PostgresFact]
    public async Task A_migration_does_not_wait_long_for_a_table_that_is_locked()
    {
        string cluster = await OldSchemaAsync();
        string database = PostgresServer.DatabaseOf(cluster);
        // A backup, say.
        var reader = postgres.Server.QueryAsync(database, "begin; lock table netdump.dumps in access share mode; select pg_sleep(12); commit");
        await Node.HoldsAsync(async () => await postgres.Server.QueryAsync(database, "select count(*) from pg_locks where relation = 'netdump.dumps'::regclass and mode = 'AccessShareLock' and granted") == "1", "the table is locked");

        long start = Stopwatch.GetTimestamp();
        var refused = (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(3);

        Assert.Contains("is locked by somebody else", refused.Error, StringComparison.Ordinal);
        Assert.False(reader.IsCompleted, "the lock ended by itself");
        Assert.Equal("1", await postgres.Server.QueryAsync(database, "select max(version) from netdump.migrations"));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 11);
        _ = await reader;
        Assert.Contains("version 3, was 1", (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0).Output, StringComparison.Ordinal);
    }

    /// <summary>An index of a large table takes minutes; the limits are those of a running node's exchanges.</summary>
    [PostgresFact]
    public async Task A_migration_by_command_takes_as_long_as_it_takes()
    {
        string cluster = await OldSchemaAsync();
        await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), """
            create function slow() returns event_trigger language plpgsql as $$ begin perform pg_sleep(7); end $$;
            create event trigger slow on ddl_command_start when tag in ('CREATE INDEX') execute function slow();
            """);

        Assert.Contains("version 3, was 1", (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0).Output, StringComparison.Ordinal);
    }

    /// <summary>A database whose tables are those of the first version.</summary>
    private async Task<string> OldSchemaAsync()
    {
        string cluster = await postgres.Server.NewDatabaseAsync();
        (await Collector.RunAsync("db", "migrate", "--cluster", cluster)).Expect(0);
        await postgres.Server.QueryAsync(PostgresServer.DatabaseOf(cluster), """
            alter table netdump.sessions drop column continues;
            alter table netdump.dumps drop column continues, drop column within;
            delete from netdump.migrations where version > 1;
            """);
        return cluster;
    }
}
