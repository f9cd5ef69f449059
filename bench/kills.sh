#!/usr/bin/env bash
# Kills the collector with kill -9 at random moments while kernels dump to it, starts it again, and looks for anything that was lost. Exit code 1 when something was.
# Usage: bench/kills.sh [--kills N] [--seed N] [--program FILE] [-- SERVE-OPTIONS...]
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"

kills=1000
seed=$((RANDOM * 32768 + RANDOM))
own_program=
serve=
while [ $# -gt 0 ]; do
    case $1 in
        --kills) kills=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --program) own_program=$2; shift 2 ;;
        --) shift; serve=$*; break ;;
        -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
        *) fail "unknown option $1" ;;
    esac
done
RANDOM=$((seed & 32767))

# One round: long dumps and short ones, so that at any time some are at their herald, header or FINISHED.
long=(-n 8 -s 16 --ramp-us 500000)
short=(-n 80 -s 512K --ramp-us 200000)
kernel_like=(--pattern --kernel-pacing --poll-us 10000 --alias32)
# A kernel repeats a burst each second, twelve times. Of that time the server is there for 3.5 s at a stretch after at most 6.5 s and a start.
enough_ms=3500
longest_starvation_ms=6500

milliseconds() { awk '{ print int($1 * 1000) }' /proc/uptime; }
pause() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
blasting() { kill -0 "$1" 2> /dev/null || kill -0 "$2" 2> /dev/null; }

done_kills=0 rounds=0 dumps=0 lost=0 failed_clients=0 slowest_start_ms=0
complain() { say "seed $seed, round $rounds: $*"; lost=$((lost + 1)); }

# check BASE COUNT SIZE: every client of the load has one dump, complete and as it was sent.
check() {
    local base=$1 count=$2 size=$3 k client manifests core
    for ((k = 0; k < count; k++)); do
        client=${base%.*}.$((${base##*.} + k))
        manifests=$(grep -l "\"client\": \"$client\"" "$data"/dump.*.json 2> /dev/null || true)
        if [ "$(grep -c . <<< "$manifests")" != 1 ]; then complain "$client has not one dump: $manifests"; continue; fi
        grep -q '"status": "complete"' "$manifests" || complain "$manifests is not complete"
        core=$data/$(sed -n 's/.*"vmcore": "\(.*\)".*/\1/p' "$manifests")
        "$work/ndblast" --verify "$core" --client "$k" -s "$size" > "$work/verify" || complain "$(cat "$work/verify")"
        dumps=$((dumps + 1))
    done
}

# wait_for_load PID FILE: adds the clients that gave up.
wait_for_load() {
    wait "$1" || complain "clients gave up: $(cat "$2")"
    result=$(cat "$2")
    [ -n "$result" ] || fail "ndblast gave no result"
    failed_clients=$((failed_clients + $(field failed)))
}

start_again() {
    local began
    began=$(milliseconds)
    start_server "$data" "${command_line[@]}"
    began=$(($(milliseconds) - began))
    [ "$began" -le "$slowest_start_ms" ] || slowest_start_ms=$began
}

# starved: how long no burst has been sure to get through.
round_of() {
    local base=127.$((40 + rounds % 20)).$((rounds / 20 % 250)) starved=0 up down long_pid short_pid
    collector --endpoint "$1" --hash off
    start_again
    "$work/ndblast" -a "$address" -P "$port" --base "$base.1" --seed "$RANDOM" "${kernel_like[@]}" "${long[@]}" > "$work/long" &
    long_pid=$!
    on_exit "stop $long_pid"
    "$work/ndblast" -a "$address" -P "$port" --base "$base.101" --seed "$RANDOM" "${kernel_like[@]}" "${short[@]}" > "$work/short" &
    short_pid=$!
    on_exit "stop $short_pid"
    while blasting "$long_pid" "$short_pid"; do
        up=$((RANDOM % (RANDOM % 3 ? 300 : 2500)))
        down=$((100 + RANDOM % (RANDOM % 12 ? 400 : 6000)))
        if [ $((starved + up + down)) -gt $longest_starvation_ms ]; then up=$enough_ms; fi
        if [ "$up" -ge "$enough_ms" ]; then starved=$down; else starved=$((starved + up + down)); fi
        pause "$up"
        kill -KILL "$server"
        wait "$server" 2> /dev/null || true
        server=
        done_kills=$((done_kills + 1))
        pause "$down"
        starved=$((starved - $(milliseconds)))
        start_again
        starved=$((starved + $(milliseconds)))
    done
    wait_for_load "$long_pid" "$work/long"
    wait_for_load "$short_pid" "$work/short"
    check "$base.1" 8 16
    check "$base.101" 80 512K
    rounds=$((rounds + 1))
    say "$done_kills kills, $dumps dumps, $lost losses"
}

build_tools ndblast
find_program "$own_program"
choose_port
describe_machine
data=
new_directory data /dev/shm
while [ "$done_kills" -lt "$kills" ]; do
    if [ $((rounds % 2)) = 0 ]; then round_of ephemeral; else round_of shared; fi
    stop_server
    # Clients got the ack of FINISHED, so only ledgers may be left, which answer its repetitions.
    find "$data" -maxdepth 1 \( -name 'vmcore*' -o -name 'info*' -o -name 'dump*' -o -name 'bounds*' -o -name 'partial.*.ledger' \) -delete
    left=$(find "$data" -name '*partial.*')
    [ -z "$left" ] || { complain "left over: $left"; find "$data" -name '*partial.*' -delete; }
done

start_again
for ((i = 0; i < 40; i++)); do
    left=$(find "$data" -name '*partial.*')
    [ -n "$left" ] || break
    sleep 1
done
[ -z "$left" ] || complain "left over: $left"

echo "# kill -9"
echo
machine_markdown
echo
echo "| kills | rounds | dumps | lost, cut or damaged | clients that gave up | slowest start ms | seed |"
echo "|---|---|---|---|---|---|---|"
echo "| $done_kills | $rounds | $dumps | $lost | $failed_clients | $slowest_start_ms | $seed |"
[ "$lost" = 0 ]
