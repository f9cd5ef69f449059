#!/usr/bin/env bash
# What the catalogue of a fleet (--cluster) costs at 1000 sessions: statements, transactions and bytes per second and node, time of an exchange, processor time.
# Starts a PostgreSQL of its own. Clients send a small dump each but for its end, so that their sessions stay.
# Usage: bench/catalog.sh [-n SESSIONS] [-k NODES] [-s SECONDS] [PROGRAM]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sessions=1000 nodes=2 seconds=20
while getopts n:k:s: option; do
    case $option in
        n) sessions=$OPTARG ;;
        k) nodes=$OPTARG ;;
        s) seconds=$OPTARG ;;
        *) fail "usage: catalog.sh [-n SESSIONS] [-k NODES] [-s SECONDS] [PROGRAM]" ;;
    esac
done
shift $((OPTIND - 1))
find_program "${1:-}"
build_tools ndblast

postgres=/usr/lib/postgresql/15/bin
[ -x "$postgres/postgres" ] || fail "PostgreSQL 15 is needed (Debian's postgresql)"
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
new_directory data "${TMPDIR:-/tmp}"
database_port=$((15500 + network))
[ "$(id -u)" != 0 ] || chown postgres "$data"
"${as[@]}" "$postgres/initdb" -D "$data/db" -U netdump -A trust --no-sync --locale C > "$work/initdb.log"
"${as[@]}" "$postgres/postgres" -D "$data/db" -c listen_addresses="$address" -p "$database_port" -k "$data" -c shared_preload_libraries=pg_stat_statements > "$work/postgres.log" 2>&1 &
database=$!
on_exit "stop $database"
until "$postgres/pg_isready" -q -h "$address" -p "$database_port"; do sleep 0.1; done
sql() { psql -XqAt -h "$address" -p "$database_port" -U netdump -d postgres -c "$1"; }
sql 'create extension pg_stat_statements'

servers=()
for ((k = 1; k <= nodes; k++)); do
    new_directory dumps "${TMPDIR:-/tmp}"
    "$program" serve -a "127.3.$network.$((k + 1))" --port 20023 --http "127.3.$network.$((k + 1)):9464" --node "node$k" -d "$dumps" \
        --cluster "Host=$address;Port=$database_port;Database=postgres;Username=netdump" > "$work/node$k.log" 2>&1 &
    servers+=($!)
    on_exit "stop $!"
done
for ((k = 1; k <= nodes; k++)); do
    until grep -q 'takes what node' "$work/node$k.log"; do sleep 0.1; done
    # Nodes' clients have addresses of their own.
    "$work/ndblast" -n "$sessions" -s 128K -a "127.3.$network.$((k + 1))" -P 20023 --base "127.$((60 + k)).$network.1" --skip-finish > "$work/blast$k.json" 2>&1 || fail "ndblast: $(cat "$work/blast$k.json")"
done

# Bytes of all connections to the database, as the nodes' kernel counts them.
bytes() { ss -tinHO "dst $address and dport = :$database_port" | grep -o "$1:[0-9]*" | awk -F: '{ sum += $2 } END { print sum + 0 }'; }
counts() { sql "select coalesce(sum(calls), 0) from pg_stat_statements where query like '%netdump.%' or query ilike 'listen%'; select xact_commit from pg_stat_database where datname = 'postgres'"; }
ticks() { local pid sum=0 stat; for pid in "$@"; do read -ra stat < "/proc/$pid/stat"; sum=$((sum + stat[13] + stat[14])); done; echo "$sum"; }
metric() { curl -s "http://127.3.$network.2:9464/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

until [ "$(sql 'select count(*) from netdump.sessions')" -ge $((sessions * nodes)) ]; do sleep 0.2; done
# Events of dumps that started come late: names of hosts are looked up for them.
events=-1
until [ "$(sql 'select count(*) from netdump.events')" = "$events" ]; do events=$(sql 'select count(*) from netdump.events'); sleep 3; done
mapfile -t before < <(counts)
sent=$(bytes bytes_sent) received=$(bytes bytes_received) cpu=$(ticks "${servers[@]}") exchanges=$(metric netdump_catalog_exchange_duration_seconds_count) took=$(metric netdump_catalog_exchange_duration_seconds_sum)
sleep "$seconds"
mapfile -t after < <(counts)
awk -v n="$sessions" -v k="$nodes" -v s="$seconds" -v calls=$((after[0] - before[0])) -v transactions=$((after[1] - before[1])) \
    -v sent=$(($(bytes bytes_sent) - sent)) -v received=$(($(bytes bytes_received) - received)) -v cpu=$(($(ticks "${servers[@]}") - cpu)) -v hz="$(getconf CLK_TCK)" \
    -v exchanges="$(($(metric netdump_catalog_exchange_duration_seconds_count) - exchanges))" -v took="$(metric netdump_catalog_exchange_duration_seconds_sum)" -v tookBefore="$took" 'BEGIN {
    printf "%d nodes with %d sessions each, per node and second: %.1f statements, %.1f transactions, %.0f bytes to the database, %.0f bytes from it; %.1f ms processor time\n",
        k, n, calls / k / s, transactions / k / s, sent / k / s, received / k / s, 1000 * cpu / hz / k / s
    printf "an exchange takes %.1f ms (mean of %d)\n", 1000 * (took - tookBefore) / exchanges, exchanges }'
sql "select 'tables and indexes: ' || pg_size_pretty(sum(pg_total_relation_size(oid))) from pg_class where relnamespace = 'netdump'::regnamespace and relkind = 'r'"
