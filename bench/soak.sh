#!/usr/bin/env bash
# Runs the collector under load for long, on loopback, and reports whether memory, descriptors and threads stay flat; prints Markdown. Needs gcc.
#
# usage: bench/soak.sh [options]
#   --gib N           stop after so many GiB ... (200)
#   --sessions N      ... and so many sessions (20000)
#   --endpoint MODE   ephemeral or shared (ephemeral)
#   --dir DIR         where dumps land; they are removed as they end (/dev/shm)
#   --serve OPTIONS   more options for 'serve', in one argument
#   --program FILE    the collector to measure (by default what ./netdump-collector builds)
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

gib=200 sessions=20000 endpoint=ephemeral parent=/dev/shm serve='' own_program=''
while [ $# -gt 0 ]; do
    case $1 in
        --gib) gib=$2 ;;
        --sessions) sessions=$2 ;;
        --endpoint) endpoint=$2 ;;
        --dir) parent=$2 ;;
        --serve) serve=$2 ;;
        --program) own_program=$2 ;;
        *) sed -n 's/^# \{0,1\}//; /^usage/,/^set/p' "$0" | grep -v '^set' >&2; exit 2 ;;
    esac
    shift 2
done

# Each round: many short dumps, some long ones, one that dies in the middle, one over a bad network.
rounds=('-n 250 -s 1 --ramp-us 500' '-n 16 -s 128 --sync --gso' '-n 4 -s 16 --skip-finish --gso' '-n 8 -s 4 -d 0.002 --alias32')

build_tools ndblast
find_program "$own_program"
choose_port
describe_machine
data=
new_directory data "$parent"
collector --endpoint "$endpoint" --hash deferred --timeout 5
start_server "$data" "${command_line[@]}"

descriptors() { find "/proc/$server/fd" -mindepth 1 | wc -l; }
threads() { awk '/^Threads:/ { print $2 }' "/proc/$server/status"; }

echo "# Soak"
echo
machine_markdown
echo
echo "| minutes | GiB | sessions | failed | retransmits | RSS MiB | descriptors | threads |"
echo "|---|---|---|---|---|---|---|---|"
began=$(now_s) reported=0 bytes=0 done_sessions=0 failed=0 retransmits=0 round=0
samples=$work/samples
while :; do
    # shellcheck disable=SC2086
    blast ${rounds[round % ${#rounds[@]}]} --seed $((round + 1))
    round=$((round + 1))
    bytes=$((bytes + $(field bytes))) done_sessions=$((done_sessions + $(field clients))) failed=$((failed + $(field failed))) retransmits=$((retransmits + $(field retransmits)))
    kill -0 "$server" 2> /dev/null || { tail -n 20 "$work/server.log" >&2; fail "the server ended"; }
    # Dumps that ended; running ones stay.
    { find "$data" -maxdepth 1 -type f -name 'dump.*.json' -newermt '-1 hour' -exec grep -lE '"hashState": *"(done|off)"' {} + 2> /dev/null || true; } |
        sed 's|^\(.*\)/dump\.\(.*\)\.json$|\1/vmcore.\2\n\1/info.\2\n\1/dump.\2.json|' | xargs -r rm -f
    now=$(now_s)
    if awk -v a="$now" -v b="$reported" 'BEGIN { exit !(a - b >= 60 || b == 0) }'; then
        reported=$now
        echo "$(memory_mib "$server" VmRSS) $(descriptors) $(threads)" >> "$samples"
        printf '| %.1f | %.1f | %d | %d | %d | %d | %d | %d |\n' "$(calc "($now - $began) / 60")" "$(calc "$bytes / 1073741824")" "$done_sessions" "$failed" "$retransmits" \
            "$(memory_mib "$server" VmRSS)" "$(descriptors)" "$(threads)"
    fi
    if [ "$done_sessions" -ge "$sessions" ] && [ "$bytes" -ge $((gib << 30)) ]; then break; fi
done

# Sessions linger for 15 s, clients that died are given up after 5.
sleep 25
echo
echo "Afterwards, all sessions over: RSS $(memory_mib "$server" VmRSS) MiB (peak $(memory_mib "$server" VmHWM)), $(descriptors) descriptors, $(threads) threads; $(grep -c '^error' "$work/server.log" || true) errors in the log."
awk 'NR == 3 { rss = $1; fds = $2; threads = $3 } { last = $0 } END { split(last, l); if (NR >= 6) printf "From the third minute to the last: RSS %+d MiB, descriptors %+d, threads %+d.\n", l[1] - rss, l[2] - fds, l[3] - threads }' "$samples"
