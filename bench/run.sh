#!/usr/bin/env bash
# Compares the collector with bench/tools/ndsink.c, the C ceiling, in interleaved runs over loopback.
# usage: bench/run.sh [--pairs N] [--dir DIR] [--rows REGEX] [--serve "OPTIONS"]
# Prints a Markdown table of medians and ratios. Needs gcc; DIR (default a new one on /dev/shm) tells the file system.
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=5 dir= rows=. serve=
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2 ;;
        --dir) dir=$2 ;;
        --rows) rows=$2 ;;
        --serve) serve=$2 ;;
        *) sed -n 's/^# usage/usage/p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done

work=$(mktemp -d)
[ -n "$dir" ] || dir=$(mktemp -d -p /dev/shm)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work" "$dir"/bench-*' EXIT
gcc -std=c11 -O2 -o "$work/ndblast" bench/tools/ndblast.c -lpthread
gcc -std=c11 -O2 -o "$work/ndsink" bench/tools/ndsink.c
./netdump-collector --help > /dev/null
port=$((20030 + RANDOM % 60))
# Memory that a virtual machine touches for the first time is slow; afterwards all runs find the same.
head -c 5G /dev/zero > "$dir/bench-warm"; rm "$dir/bench-warm"

# name | ndsink's extra options | ndblast's options
cat > "$work/rows" <<'ROWS'
1 client, 2 GiB|--gro|-n 1 -s 2G --sync --gso
16 x 128 MiB|--gro|-n 16 -s 128 --sync --gso
256 x 8 MiB|--gro|-n 256 -s 8 --sync --gso
1000 x 2 MiB, plain sends||-n 1000 -s 2 --ramp-us 2000
1 client, payload 8948, plain sends||-n 1 -s 1G -p 8948 --sync
16 x 128 MiB, kernel pacing||-n 16 -s 128 --kernel-pacing --sync
1 client, kernel pacing||-n 1 -s 256 --kernel-pacing --sync
ROWS

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# measure NAME COMMAND...: starts the server, runs ndblast, appends "MB/s CPU-s/GiB p99-us failed retransmits RSS-MiB" to $work/NAME
measure() {
    local name=$1; shift
    local data="$dir/bench-$name"
    rm -rf "$data"; mkdir -p "$data"
    "$@" -d "$data" > "$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do ss -Huln "sport = :$port" | grep -q . && break; sleep 0.05; done
    # shellcheck disable=SC2086
    result=$("$work/ndblast" -P "$port" --base 127.40.0.1 $blast) || true
    cpu=$(ticks "$server")
    rss=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$server/status")
    kill "$server"; wait "$server" || true
    server=
    rm -rf "$data"
    field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<< "$result"; }
    awk -v mbps="$(field MBps)" -v bytes="$(field bytes)" -v cpu="$cpu" -v hz="$(getconf CLK_TCK)" -v p99="$(field ack_p99_us)" \
        -v failed="$(field failed)" -v retx="$(field retransmits)" -v rss="$rss" \
        'BEGIN { print mbps, (bytes > 0 ? cpu / hz / (bytes / 1073741824) : 0), p99, failed, retx, rss }' >> "$work/$name"
}

median() { awk -v f="$2" '{ print $f }' "$1" | sort -g | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { paste -d' ' "$work/ours" "$work/sink" | awk -v f="$1" '{ print ($(f + 6) > 0 ? $f / $(f + 6) : 0) }' > "$work/ratio"; median "$work/ratio" 1; }
total() { awk -v f="$2" '{ s += $f } END { print s + 0 }' "$1"; }

echo "| load | MB/s | ndsink | ratio | CPU s/GiB | ndsink | ratio | p99 us | ndsink | ratio | failed | retransmits | RSS MiB |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
while IFS='|' read -r name sink blast; do
    [[ $name =~ $rows ]] || continue
    rm -f "$work/ours" "$work/sink"
    for _ in $(seq "$pairs"); do
        # shellcheck disable=SC2086
        measure ours ./netdump-collector serve -a 127.0.0.1 --port "$port" --hash off --progress off $serve
        # shellcheck disable=SC2086
        measure sink "$work/ndsink" -a 127.0.0.1 -P "$port" --fsync $sink
    done
    printf '| %s | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f | %.0f | %.0f | %.2f | %d | %d | %d |\n' "$name" \
        "$(median "$work/ours" 1)" "$(median "$work/sink" 1)" "$(ratio 1)" \
        "$(median "$work/ours" 2)" "$(median "$work/sink" 2)" "$(ratio 2)" \
        "$(median "$work/ours" 3)" "$(median "$work/sink" 3)" "$(ratio 3)" \
        "$(total "$work/ours" 4)" "$(total "$work/ours" 5)" "$(median "$work/ours" 6 | cut -d. -f1)"
done < "$work/rows"
