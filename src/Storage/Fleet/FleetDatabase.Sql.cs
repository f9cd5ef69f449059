namespace NetdumpCollector.Storage.Fleet;

public sealed partial class FleetDatabase
{
    /// <summary>Columns of a node, for <see cref="FleetRows.Node"/>. Whether it is dead is judged by the database's clock alone.</summary>
    internal const string GetNodes = """
        select name, instance, directory, host(address), port, url, version, started_at, dumps,
            extract(epoch from now() - heartbeat_at)::float8, left_at is not null, heartbeat_at < now() - interval '4 seconds'
        from netdump.nodes order by name
        """;

    /// <summary>Columns of a session, for <see cref="FleetRows.Session"/>; what has come since it was told of is added to its silence.</summary>
    internal const string GetSessions = """
        select dump_id, node, host(client), client_port, host, endpoint, host(endpoint_address), endpoint_port, path, phase, epoch, bytes, total_bytes, expected_bytes, packets, repeated,
            silent_seconds + extract(epoch from now() - updated_at)::float8, error, started_at, continues
        from netdump.sessions where node <> $1
        """;

    /// <summary>An hour begins with its first dump, on each node by itself.</summary>
    private const string GetPanics = """
        select signature, dumps, extract(epoch from now() - started_at)::float8
        from netdump.panics where node <> $1 and dumps > 0 and started_at > now() - interval '1 hour' order by started_at desc limit 4096
        """;

    /// <summary>A name belongs to whoever has it until he has been silent for four seconds, or has left.</summary>
    private const string PutNode = """
        insert into netdump.nodes as n (name, instance, directory, address, port, url, version, started_at, heartbeat_at, left_at, dumps)
        values ($1, $2, $3, $4::text::inet, $5, $6::text, $7, $8, now(), null, $9)
        on conflict (name) do update set instance = excluded.instance, directory = excluded.directory, address = excluded.address, port = excluded.port, url = excluded.url,
            version = excluded.version, started_at = excluded.started_at, heartbeat_at = now(), left_at = null, dumps = excluded.dumps
        where n.instance = excluded.instance or n.left_at is not null or n.heartbeat_at < now() - interval '4 seconds'
        returning 1
        """;

    /// <summary>Sessions that are not among the given ones have ended; those that another node has taken over are its.</summary>
    private const string PutSessions = """
        with given as
        (
            select * from unnest($3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::int[], $10::text[], $11::text[], $12::int[], $13::bigint[], $14::bigint[], $15::bigint[],
                $16::bigint[], $17::bigint[], $18::real[], $19::text[], $20::timestamptz[], $21::text[])
                as g (dump_id, client, client_port, host, endpoint, endpoint_address, endpoint_port, path, phase, epoch, bytes, total_bytes, expected_bytes, packets, repeated, silent_seconds, error, started_at, continues)
            where exists (select from netdump.nodes n where n.name = $1 and n.instance = $2)
        ),
        ended as
        (
            delete from netdump.sessions s where s.node = $1 and not exists (select from given g where g.dump_id = s.dump_id)
                and exists (select from netdump.nodes n where n.name = $1 and n.instance = $2)
        )
        insert into netdump.sessions as s (dump_id, node, client, client_port, host, endpoint, endpoint_address, endpoint_port, path, phase, epoch, bytes, total_bytes, expected_bytes, packets, repeated,
            silent_seconds, error, started_at, continues, updated_at)
        select dump_id, $1, client::inet, client_port, host, endpoint, endpoint_address::inet, endpoint_port, path, phase, epoch, bytes, total_bytes, expected_bytes, packets, repeated,
            silent_seconds, error, started_at, continues, now()
        from given
        on conflict (dump_id) do update set node = excluded.node, client = excluded.client, client_port = excluded.client_port, host = excluded.host, endpoint = excluded.endpoint,
            endpoint_address = excluded.endpoint_address, endpoint_port = excluded.endpoint_port, path = excluded.path, phase = excluded.phase, epoch = excluded.epoch, bytes = excluded.bytes,
            total_bytes = excluded.total_bytes, expected_bytes = excluded.expected_bytes, packets = excluded.packets, repeated = excluded.repeated, silent_seconds = excluded.silent_seconds,
            error = excluded.error, started_at = excluded.started_at, continues = excluded.continues, updated_at = excluded.updated_at
        where s.epoch < excluded.epoch or (s.epoch = excluded.epoch and s.node = excluded.node)
        """;

    /// <summary>What a node no longer counts is taken away with the same statement.</summary>
    private const string PutPanics = """
        with given as
        (
            select * from unnest($3::text[], $4::int[], $5::float8[]) as g (signature, dumps, age)
            where exists (select from netdump.nodes n where n.name = $1 and n.instance = $2)
        ),
        forgotten as
        (
            delete from netdump.panics p where p.node = $1 and not exists (select from given g where g.signature = p.signature)
                and exists (select from netdump.nodes n where n.name = $1 and n.instance = $2)
        )
        insert into netdump.panics (signature, node, started_at, dumps)
        select signature, $1, now() - make_interval(secs => age), dumps from given
        on conflict (signature, node) do update set started_at = excluded.started_at, dumps = excluded.dumps
        """;

    /// <summary>The manifest is what counts: the columns are made of it here, so that they never say anything else.</summary>
    private const string PutDumps = """
        insert into netdump.dumps (id, directory, node, path, url, host, client, started_at, ended_at, status, reason, panic, bytes, missing_bytes, sha256, hash_state, epoch, segments, pinned,
            continues, within, manifest, digest, changed_at, removed_at)
        select g.id, $1, $2, g.path, m #>> '{stored,url}', m ->> 'host', (m ->> 'client')::inet, (m ->> 'startedAt')::timestamptz, (m ->> 'endedAt')::timestamptz, m ->> 'status', m ->> 'reason',
            m #>> '{kdh,panicString}', (m ->> 'bytes')::bigint, (m ->> 'missingBytes')::numeric, m ->> 'sha256', m ->> 'hashState', coalesce((m ->> 'epoch')::int, 1), m -> 'segments',
            coalesce((m ->> 'pinned')::boolean, false), m #>> '{continues,id}', m #>> '{within,id}', m, g.digest, now(), null
        from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as g (id, path, json, digest), lateral (select g.json::jsonb as m) as parsed
        on conflict (id) do update set directory = excluded.directory, node = excluded.node, path = excluded.path, url = excluded.url, host = excluded.host, client = excluded.client,
            started_at = excluded.started_at, ended_at = excluded.ended_at, status = excluded.status, reason = excluded.reason, panic = excluded.panic, bytes = excluded.bytes,
            missing_bytes = excluded.missing_bytes, sha256 = excluded.sha256, hash_state = excluded.hash_state, epoch = excluded.epoch, segments = excluded.segments, pinned = excluded.pinned,
            continues = excluded.continues, within = excluded.within, manifest = excluded.manifest, digest = excluded.digest, changed_at = now(), removed_at = null
        """;

    /// <summary>What an object store has outlives its local copy.</summary>
    private const string RemoveDumps = """
        update netdump.dumps set path = null, changed_at = now(), removed_at = case when url is null then now() end
        where directory = $1 and id = any ($2) and path is not null
        """;

    private const string PutEvents = """
        with added as
        (
            insert into netdump.events (node, at, type, event) select $1, g.at, g.type, g.event from unnest($2::timestamptz[], $3::text[], $4::text[]) as g (at, type, event) returning number
        )
        select pg_notify('netdump_events', min(number) || ' ' || max(number) || ' ' || $1) from added
        """;

    private static readonly string[] s_tidying =
    [
        "delete from netdump.events where at < now() - interval '1 hour'",
        "delete from netdump.panics where started_at < now() - interval '2 hours'",
        "delete from netdump.dumps where removed_at < now() - interval '7 days'",
        // A node that comes back tells of its sessions anew; a kernel waits for eleven seconds.
        "delete from netdump.sessions where updated_at < now() - interval '1 hour'",
        "delete from netdump.nodes where coalesce(left_at, heartbeat_at) < now() - interval '7 days'",
    ];
}
