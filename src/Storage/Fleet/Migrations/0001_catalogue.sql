-- Nodes: one row per name. A node writes its own row once a second, so nothing in it is indexed but the name (HOT updates).
create table netdump.nodes
(
    name         text        primary key,
    -- The node's dump directory and its own state there; a second node of the same name has another one.
    instance     uuid        not null,
    -- Nodes with the same dump directory have the same number here.
    directory    uuid        not null,
    address      inet        not null,
    port         integer     not null,
    url          text,
    version      text        not null,
    started_at   timestamptz not null,
    heartbeat_at timestamptz not null,
    left_at      timestamptz,
    dumps        integer     not null
) with (fillfactor = 40);

-- Dumps that have not ended, by whoever receives them now; what a higher epoch has written a lower one does not change.
create table netdump.sessions
(
    dump_id          text        primary key,
    node             text        not null,
    client           inet        not null,
    client_port      integer     not null,
    host             text,
    endpoint         text        not null,
    endpoint_address inet        not null,
    endpoint_port    integer     not null,
    path             text        not null,
    phase            text        not null,
    epoch            integer     not null,
    bytes            bigint      not null,
    total_bytes      bigint,
    expected_bytes   bigint,
    packets          bigint      not null,
    repeated         bigint      not null,
    silent_seconds   real        not null,
    error            text,
    started_at       timestamptz not null,
    updated_at       timestamptz not null
) with (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.5);
create index sessions_node on netdump.sessions (node);

-- Dumps that have ended. Where they lie: below a dump directory, in an object store, or both.
create table netdump.dumps
(
    id            text        primary key,
    directory     uuid        not null,
    node          text        not null,
    path          text,
    url           text,
    host          text        not null,
    client        inet        not null,
    started_at    timestamptz not null,
    ended_at      timestamptz not null,
    status        text        not null,
    reason        text        not null,
    panic         text,
    bytes         bigint      not null,
    missing_bytes numeric     not null,
    sha256        text,
    hash_state    text        not null,
    epoch         integer     not null,
    segments      jsonb,
    pinned        boolean     not null,
    manifest      jsonb       not null,
    -- Of the manifest's file, so that a node sees which rows are out of date.
    digest        text        not null,
    changed_at    timestamptz not null,
    removed_at    timestamptz
);
create index dumps_started_at on netdump.dumps (started_at, id);
create index dumps_directory on netdump.dumps (directory);
create index dumps_host on netdump.dumps (host, started_at);
create index dumps_client on netdump.dumps (client, started_at);
create index dumps_removed_at on netdump.dumps (removed_at) where removed_at is not null;

-- Whole dumps per panic message and node in the running hour, for --keep auto.
create table netdump.panics
(
    signature  text        not null,
    node       text        not null,
    started_at timestamptz not null,
    dumps      integer     not null,
    primary key (signature, node)
);
create index panics_started_at on netdump.panics (started_at);

-- What nodes tell each other at once. A notification on the channel netdump_events has the first and last number of rows that were added together, and the node.
create table netdump.events
(
    number bigint      generated always as identity primary key,
    node   text        not null,
    at     timestamptz not null,
    type   text        not null,
    event  text        not null
);
create index events_at on netdump.events (at);
