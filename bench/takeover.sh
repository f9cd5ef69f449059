#!/usr/bin/env bash
# How long kernels wait for acks when their node dies or is drained and the other one takes over, and whether anything is lost. Exit code 1 when something was.
# Usage: bench/takeover.sh [--events N] [--seed N] [--only kill|drain] [--writeback PERCENT] [--sync-us N] [--call-us N] [--loads LOADS] [--apart MS] [--program FILE] [-- SERVE-OPTIONS...]
# LOADS: what sends during a round, 'CLIENTS KIB-EACH US-BETWEEN-HERALDS' with commas between several ('8 8192 500000,60 512 200000'). --apart: least time between two moves. --sync-us and --call-us: how far away the directory's server is.
# Two nodes, their clients and a bridge in network namespaces; the shared directory through bench/tools/nodefs.c, which drops what a dead node had not synced. Needs root.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"

events=50
seed=$((RANDOM * 32768 + RANDOM))
only=
writeback=0
sync_us=0
call_us=0
apart=0
loads='8 8192 500000,60 512 200000'
own_program=
serve=
while [ $# -gt 0 ]; do
    case $1 in
        --events) events=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --only) only=$2; shift 2 ;;
        --writeback) writeback=$2; shift 2 ;;
        --sync-us) sync_us=$2; shift 2 ;;
        --call-us) call_us=$2; shift 2 ;;
        --apart) apart=$2; shift 2 ;;
        --loads) loads=$2; shift 2 ;;
        --program) own_program=$2; shift 2 ;;
        --) shift; serve=$*; break ;;
        -h | --help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
        *) fail "unknown option $1" ;;
    esac
done
[ "$(id -u)" = 0 ] || fail "network namespaces and mounts need root"
RANDOM=$((seed & 32767))

virtual=192.0.2.10
client_network=198.18.0.0/16
herald_port=20023
kernel_like=(--pattern --kernel-pacing --poll-us 10000 --alias32)
IFS=, read -ra loads <<< "$loads"

# ---------------------------------------------------------------- the lab

lab=netdump-$$-0
in_network() { nsenter "--net=/run/netns/$lab-$1" "${@:2}"; }
# The same as a process of its own in the background, whose id is $!.
become_in_network() { exec nsenter "--net=/run/netns/$lab-$1" "${@:2}"; }
link_of() { case $1 in a) echo 02:00:00:00:00:01 ;; b) echo 02:00:00:00:00:02 ;; esac; }
other_than() { if [ "$1" = a ]; then echo b; else echo a; fi; }

make_lab() {
    local network
    for network in switch clients a b; do
        ip netns add "$lab-$network"
        on_exit "ip netns delete $lab-$network"
        ip -n "$lab-$network" link set lo up
    done
    ip -n "$lab-switch" link add bridge type bridge forward_delay 0
    ip -n "$lab-switch" link set bridge up
    for network in clients a b; do
        ip -n "$lab-switch" link add "to-$network" type veth peer name eth0 netns "$lab-$network"
        ip -n "$lab-switch" link set "to-$network" master bridge up
    done
    ip -n "$lab-clients" link set eth0 up
    ip -n "$lab-clients" address add 192.0.2.100/24 dev eth0
    ip -n "$lab-clients" route add local "$client_network" dev lo
    for network in a b; do
        ip -n "$lab-$network" link set eth0 address "$(link_of "$network")" up
        ip -n "$lab-$network" address add "192.0.2.$([ "$network" = a ] && echo 1 || echo 2)/24" dev eth0
        ip -n "$lab-$network" route add "$client_network" dev eth0
    done
}

# Prints when it has the address, by ndblast's clock.
take_address() { in_network "$1" sh -c "ip address replace $virtual/32 dev eth0 && '$work/garp' eth0 $virtual"; }
drop_address() { ip -n "$lab-$1" address delete "$virtual/32" dev eth0; }

declare -A server_of files_of
start_node() {
    local node=$1 tries
    if [ -z "${files_of[$node]:-}" ]; then
        mkdir -p "$data/$node"
        "$work/nodefs" --writeback "$writeback" --sync-us "$sync_us" --call-us "$call_us" --seed "$RANDOM" "$data/store" "$data/$node" > "$work/files-$node" &
        files_of[$node]=$!
        for ((tries = 0; tries < 500; tries++)); do
            grep -q ready "$work/files-$node" && break
            sleep 0.01
        done
    fi
    # shellcheck disable=SC2086
    become_in_network "$node" unshare --uts sh -c 'hostname "$1" && shift && exec "$@"' sh "node-$node" \
        "$program" serve -a 0.0.0.0 --http off --progress off --endpoint shared --takeover -d "$data/$node" $serve > "$work/server-$node" 2>&1 &
    server_of[$node]=$!
    for ((tries = 0; tries < 1000; tries++)); do
        grep -q 'Waiting for clients' "$work/server-$node" && return
        kill -0 "${server_of[$node]}" 2> /dev/null || break
        sleep 0.01
    done
    cat "$work/server-$node" >&2
    fail "node $node did not start"
}

# The machine dies: its processes, what they had not synced, its link.
kill_node() {
    kill -KILL "${server_of[$1]}" "${files_of[$1]}"
    ip -n "$lab-switch" link set "to-$1" down
    wait "${server_of[$1]}" "${files_of[$1]}" 2> /dev/null || true
    umount -l "$data/$1"
    server_of[$1]='' files_of[$1]=''
}

boot_node() {
    drop_address "$1"
    ip -n "$lab-switch" link set "to-$1" up
    start_node "$1"
}

stop_nodes() {
    local node
    for node in a b; do
        stop "${server_of[$node]:-}"
        stop "${files_of[$node]:-}"
        umount -l "$data/$node" 2> /dev/null || true
        server_of[$node]='' files_of[$node]=''
    done
}

# ---------------------------------------------------------------- measuring

pause() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
lost=0 dumps=0 rounds=0 failed_clients=0
complain() { say "seed $seed, round $rounds: $*"; lost=$((lost + 1)); }

manifests_of() { grep -l "\"client\": \"$1\"" "$data"/store/dump.*.json 2> /dev/null || true; }

# check BASE COUNT KIB: every client of the load has one dump, complete and as it was sent. The commits of a node that was killed between FINISHED's ack and the
# dump's name are for the other one to finish, a minute later at its next look at what is left over.
check() {
    local k client manifests core deadline=$((SECONDS + 100))
    for ((k = 0; k < $2; k++)); do
        client=${1%.*.*}.$(($(cut -d. -f3 <<< "$1") + (k + 1) / 256)).$(((k + 1) % 256))
        while manifests=$(manifests_of "$client"); [ -z "$manifests" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
        if [ "$(grep -c . <<< "$manifests")" != 1 ]; then complain "$client has not one dump: $manifests"; continue; fi
        grep -q '"status": "complete"' "$manifests" || complain "$manifests is not complete"
        core=$data/store/$(sed -n 's/.*"vmcore": "\(.*\)".*/\1/p' "$manifests")
        "$work/ndblast" --verify "$core" --client "$k" -s "$3K" > "$work/verify" || complain "$(cat "$work/verify")"
        dumps=$((dumps + 1))
    done
}

sending() { local pid; for pid in "${senders[@]}"; do kill -0 "$pid" 2> /dev/null && return; done; return 1; }

# One load from its heralds to its FINISHEDs, while its node dies or is drained again and again.
round_of() {
    local kind=$1 load n kib ramp base owner=a i=0 dead
    local -a bases=()
    senders=()
    : > "$work/moves"
    for load in "${loads[@]}"; do
        read -r n kib ramp <<< "$load"
        base=198.18.$((rounds % 30 * 8 + i * 4)).1
        bases+=("$base $n $kib")
        become_in_network clients "$work/ndblast" -a $virtual -P $herald_port --base "$base" -n "$n" -s "${kib}K" --ramp-us "$ramp" --seed "$RANDOM" \
            --gaps "$work/gaps-$i" "${kernel_like[@]}" > "$work/load-$i" &
        senders+=($!)
        on_exit "stop $!"
        i=$((i + 1))
    done
    while sending; do
        # The longer ones let every kernel, which repeats a burst each second, get through now and then.
        pause $((apart + (RANDOM % 4 ? RANDOM % 1200 : 2500)))
        sending || break
        dead=$owner
        owner=$(other_than "$owner")
        if [ "$kind" = kill ]; then
            kill_node "$dead"
            take_address "$owner" >> "$work/moves"
            boot_node "$dead"
        else
            drop_address "$dead"
            take_address "$owner" >> "$work/moves"
            kill -TERM "${server_of[$dead]}"
            wait "${server_of[$dead]}" || complain "node $dead did not end well: $(cat "$work/server-$dead")"
            start_node "$dead"
        fi
        done_events=$((done_events + 1))
    done
    for i in "${!senders[@]}"; do
        wait "${senders[$i]}" || complain "clients gave up: $(cat "$work/load-$i")"
        result=$(cat "$work/load-$i")
        failed_clients=$((failed_clients + $(field failed)))
        # From the last move that a client waited through to its next ack, in ms.
        awk 'NR == FNR { moves[++n] = $1; next } { last = 0; for (i = 1; i <= n; i++) if (moves[i] >= $2 && moves[i] <= $3) last = moves[i]; if (last) printf "%.0f\n", ($3 - last) / 1e6 }' \
            "$work/moves" "$work/gaps-$i" >> "$work/waits-$kind"
    done
    for base in "${bases[@]}"; do
        # shellcheck disable=SC2086
        check $base
    done
    rounds=$((rounds + 1))
    # Back to where the next round expects the address.
    if [ "$owner" != a ]; then drop_address b; take_address a > /dev/null; fi
    say "$kind: $done_events events, $dumps dumps, $lost losses"
}

build_tools ndblast nodefs garp
find_program "$own_program"
describe_machine
data=
new_directory data /dev/shm
mkdir -p "$data/store"
make_lab
on_exit stop_nodes
take_address a > /dev/null
start_node a
start_node b

echo "# Takeover"
echo
machine_markdown
echo
echo "Time from the move of the virtual address to the next ack, of each client that waited then. Shared directory: nodefs, --writeback $writeback, --sync-us $sync_us, --call-us $call_us, --apart $apart; loads $(IFS=,; echo "${loads[*]}")."
echo
echo "| event | events | clients that waited | min ms | median ms | p95 ms | max ms | dumps | lost, cut or damaged | clients that gave up | seed |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
total_lost=0
for kind in kill drain; do
    [ -z "$only" ] || [ "$only" = "$kind" ] || continue
    done_events=0 dumps=0 lost=0 failed_clients=0
    : > "$work/waits-$kind"
    while [ "$done_events" -lt "$events" ]; do round_of "$kind"; done
    sort -n "$work/waits-$kind" | awk -v kind="$kind" -v events="$done_events" -v dumps="$dumps" -v lost="$lost" -v failed="$failed_clients" -v seed="$seed" '
        { v[NR] = $1 }
        function at(q) { i = int(q * (NR - 1) + 0.5) + 1; return NR ? v[i] : "-" }
        END { printf "| %s | %d | %d | %s | %s | %s | %s | %d | %d | %d | %s |\n", kind == "kill" ? "kill -9" : "drain (SIGTERM)", events, NR, at(0), at(0.5), at(0.95), at(1), dumps, lost, failed, seed }'
    total_lost=$((total_lost + lost))
done
[ "$total_lost" = 0 ]
