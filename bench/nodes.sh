#!/usr/bin/env bash
# What a fleet costs where it is not needed: NODES collectors on one machine, each on an address of its own, against one collector with the same processors and the same clients.
# Both sides take turns; prints Markdown. Needs gcc.
#
# usage: bench/nodes.sh [options]
#   --pairs N         pairs of runs (5)
#   --nodes N         collectors on the fleet's side (3)
#   --dir DIR         where dumps go (/dev/shm)
#   --load OPTIONS    ndblast's options for each node's clients (-n 8 -s 128 --sync --gso)
#   --serve OPTIONS   more options for 'serve', in one argument
#   --program FILE    the collector to measure (by default what ./netdump-collector builds)
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pairs=5 nodes=3 directory=/dev/shm load='-n 8 -s 128 --sync --gso' serve='' own_program=''
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2 ;;
        --nodes) nodes=$2 ;;
        --dir) directory=$2 ;;
        --load) load=$2 ;;
        --serve) serve=$2 ;;
        --program) own_program=$2 ;;
        *) sed -n 's/^# \{0,1\}//; /^usage/,/^set/p' "$0" | grep -v '^set' >&2; exit 2 ;;
    esac
    shift 2
done
find_program "$own_program"
build_tools ndblast
choose_port
memory_directory=/dev/shm

# measure SIDE: one run of all clients, in NODES groups, against one server or a server for each; appends to $work/runs.SIDE: MB/s of all together, CPU s/GiB of the servers, longest p99 in us, failed
measure() {
    local data pid node tries started ended bytes=0 failed=0 p99=0 cpu=0
    local -a servers=() senders=()
    data=$(mktemp -d -p "$directory" nodes-XXXXXX)
    sync
    touch_memory 4G
    for ((node = 1; node <= ($([ "$1" = fleet ] && echo nodes || echo 1)); node++)); do
        # shellcheck disable=SC2086
        "$program" serve -a "127.3.$network.$node" --port "$port" --client-port "$client_port" --hash off --http off --progress off -d "$data/$node" $serve > "$work/server-$node" 2>&1 &
        servers+=($!)
        for ((tries = 0; tries < 1000; tries++)); do grep -q 'Waiting for clients' "$work/server-$node" && break; sleep 0.01; done
        grep -q 'Waiting for clients' "$work/server-$node" || { cat "$work/server-$node" >&2; fail "node $node did not start"; }
    done
    started=$(date +%s%N)
    for ((node = 1; node <= nodes; node++)); do
        # shellcheck disable=SC2086
        "$work/ndblast" -a "127.3.$network.$([ "$1" = fleet ] && echo "$node" || echo 1)" -P "$port" --base "127.$((40 + node)).$network.1" $load > "$work/blast-$node" &
        senders+=($!)
    done
    for pid in "${senders[@]}"; do wait "$pid" || true; done
    ended=$(date +%s%N)
    for pid in "${servers[@]}"; do cpu=$((cpu + $(ticks "$pid"))); done
    for pid in "${servers[@]}"; do stop "$pid"; done
    for ((node = 1; node <= nodes; node++)); do
        result=$(cat "$work/blast-$node")
        bytes=$((bytes + $(field bytes)))
        failed=$((failed + $(field failed)))
        p99=$(printf '%s\n' "$p99" "$(field ack_p99_us)" | largest)
    done
    awk -v bytes="$bytes" -v ns=$((ended - started)) -v cpu="$cpu" -v hz="$ticks_per_s" -v p99="$p99" -v failed="$failed" \
        'BEGIN { print bytes / ns * 1000, cpu / hz / (bytes / 1073741824), p99, failed }' >> "$work/runs.$1"
    rm -rf "$data"
}

for ((pair = 1; pair <= pairs; pair++)); do
    say "pair $pair of $pairs"
    if ((pair % 2)); then measure one; measure fleet; else measure fleet; measure one; fi
done

describe_machine
machine_markdown
echo
echo "Each of $nodes groups of clients: \`ndblast $load\`, in $(file_system_of "$directory"). Processor time is the servers' with their starts."
echo
echo "| | MB/s | CPU s/GiB | longest p99 µs | failed |"
echo "|---|---|---|---|---|"
for side in one fleet; do
    printf '| %s | %.0f | %.2f | %.0f | %d |\n' "$([ $side = one ] && echo 'one node' || echo "$nodes nodes")" "$(awk '{ print $1 }' "$work/runs.$side" | median)" "$(awk '{ print $2 }' "$work/runs.$side" | median)" \
        "$(awk '{ print $3 }' "$work/runs.$side" | largest)" "$(awk '{ print $4 }' "$work/runs.$side" | total)"
done
printf '| ratio of pairs | %.2f | %.2f | | |\n' "$(paste -d' ' "$work/runs.fleet" "$work/runs.one" | awk '{ print $1 / $5 }' | median)" "$(paste -d' ' "$work/runs.fleet" "$work/runs.one" | awk '{ print $2 / $6 }' | median)"
