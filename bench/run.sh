#!/usr/bin/env bash
# Measures the collector, over loopback, beside bench/tools/ndsink.c, the C ceiling; prints Markdown. Needs gcc.
#
# usage: bench/run.sh [options]
#   --pairs N         pairs of runs per row; the two of a pair follow each other and take turns in going first (5)
#   --on LIST         where the comparison with ndsink writes: tmpfs, disk (tmpfs,disk); disk is artifacts/bench of this checkout
#   --dir DIR         the same in directories of one's own; may be repeated
#   --rows REGEX      only the loads that match
#   --parts LIST      sink    against ndsink
#                     shared  --endpoint shared against ephemeral
#                     durable --takeover, where acks wait for the device, against --endpoint shared alone; on a disk, and on tmpfs, where syncing costs calls only
#                     loops   --loops 2 against --loops 1; by default where 'serve' has the option
#                     storm   1000 heralds at once, three times
#                     start   from exec to the first answer
#                     hash    what the hash costs, and whether it delays acks
#                     watch   what it costs to be scraped each second, and to export traces, metrics and logs; how long /metrics takes. Needs curl
#   --json FILE       writes all results there as well
#   --serve OPTIONS   more options for 'serve', in one argument
#   --program FILE    the collector to measure (by default what ./netdump-collector builds)
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pairs=5 on=tmpfs,disk rows=. parts='' json='' serve='' own_program='' own_directories=()
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2 ;;
        --on) on=$2 ;;
        --dir) own_directories+=("$2") ;;
        --rows) rows=$2 ;;
        --parts) parts=$2 ;;
        --json) json=$(realpath "$2") ;;
        --serve) serve=$2 ;;
        --program) own_program=$2 ;;
        *) sed -n 's/^# \{0,1\}//; /^usage/,/^set/p' "$0" | grep -v '^set' >&2; exit 2 ;;
    esac
    shift 2
done

# name | ndsink's options | ndblast's options
loads=(
    '1 client, 2 GiB|--gro|-n 1 -s 2G --sync --gso'
    '16 x 128 MiB|--gro|-n 16 -s 128 --sync --gso'
    '256 x 8 MiB|--gro|-n 256 -s 8 --sync --gso'
    '1000 x 2 MiB, plain sends||-n 1000 -s 2 --ramp-us 2000'
    '1 client, payload 8948, plain sends||-n 1 -s 1G -p 8948 --sync'
    '16 x 128 MiB, kernel pacing||-n 16 -s 128 --kernel-pacing --sync'
    '1 client, 1 GiB, kernel pacing||-n 1 -s 1G --kernel-pacing --sync'
)

# ---------------------------------------------------------------- pairs of runs

# server_of SIDE NDSINK-OPTIONS: sets command_line.
server_of() {
    # shellcheck disable=SC2206
    case $1 in
        ndsink) command_line=("$work/ndsink" -a "$address" -P "$port" --fsync $2) ;;
        ephemeral) collector --hash off ;;
        shared) collector --hash off --endpoint shared ;;
        durable) collector --hash off --endpoint shared --takeover ;;
        loops-*) collector --hash off --loops "${1#loops-}" ;;
        unwatched | scraped) collector --hash off --http "$http" ;;
        traced)
            collector --hash off --http "$http"
            command_line=(env OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT="http://$sink_at" "${command_line[@]}") ;;
    esac
}

# measure SIDE DIRECTORY NDSINK-OPTIONS NDBLAST-OPTIONS: one run on a fresh server, in a directory of its own below; appends to $work/runs.SIDE
# 1 MB/s, 2 CPU s/GiB, 3 the same without the server's start, 4 p99 us, 5 longest us, 6 failed, 7 retransmits, 8 repeated heralds, 9 RSS MiB
measure() {
    local side=$1 data started
    data=$(mktemp -d -p "$2" "$1-XXXXXX")
    server_of "$side" "$3"
    # What an earlier run left dirty is not this one's to wait for, and memory that the host took back meanwhile is not this one's to fetch.
    sync
    touch_memory 3G
    start_server "$data" "${command_line[@]}"
    case $side in unwatched | scraped | traced) settle ;; esac
    started=$(ticks "$server")
    [ "$side" != scraped ] || scrape
    # shellcheck disable=SC2086
    blast $4
    stop "$scraper"
    scraper=
    awk -v mbps="$(field MBps)" -v bytes="$(field bytes)" -v all="$(ticks "$server")" -v started="$started" -v hz="$ticks_per_s" \
        -v rest="$(field ack_p99_us) $(field ack_max_us) $(field failed) $(field retransmits) $(field herald_retx) $(memory_mib "$server" VmHWM)" '
        BEGIN { gib = bytes / 1073741824; if (gib == 0) gib = 1e9; print mbps, all / hz / gib, (all - started) / hz / gib, rest }' >> "$work/runs.$side"
    stop_server
    give_space_back "$data"
}

# What only begins when heralds are answered has begun: HTTP, which has been asked once, and the export.
settle() {
    curl --silent --output /dev/null --retry 50 --retry-connrefused --retry-delay 1 "http://$http/metrics"
    sleep 2
}

# Reads the server's metrics each second, as Prometheus does, until it is stopped.
scraper=
scrape() {
    curl --silent --output /dev/null --rate 60/m --retry 5 --retry-connrefused --header 'Accept: application/openmetrics-text; version=1.0.0' "http://$http/metrics?[1-100000]" &
    scraper=$!
}
# shellcheck disable=SC2016
on_exit 'stop "$scraper"'

# in_turn PAIR A B: who goes first in this pair, and who second.
in_turn() { if (($1 % 2)); then echo "$2 $3"; else echo "$3 $2"; fi; }

column() { awk -v f="$2" '{ print $f }' "$work/runs.$1"; }
middle() { column "$1" "$2" | median; }

# ratio A B FIELD: the median of the ratios of the pairs.
ratio() { paste -d' ' "$work/runs.$1" "$work/runs.$2" | awk -v f="$3" '{ print ($(f + 9) > 0 ? $f / $(f + 9) : 0) }' | median; }

side_json() {
    printf '{"side":"%s","mbps":%s,"cpu_s_per_gib":%s,"cpu_s_per_gib_without_start":%s,"p99_us":%s,"max_us":%s,"failed":%d,"retransmits":%d,"repeated_heralds":%d,"rss_mib":%s,"runs":[%s]}' \
        "$1" "$(middle "$1" 1)" "$(middle "$1" 2)" "$(middle "$1" 3)" "$(middle "$1" 4)" "$(column "$1" 5 | largest)" \
        "$(column "$1" 6 | total)" "$(column "$1" 7 | total)" "$(column "$1" 8 | total)" "$(middle "$1" 9)" \
        "$(awk '{ printf "%s[%s,%s,%s,%s,%s,%s,%s,%s,%s]", (NR > 1 ? "," : ""), $1, $2, $3, $4, $5, $6, $7, $8, $9 }' "$work/runs.$1")"
}

# compare PART DIRECTORY A B: all loads on two servers, as a table.
compare() {
    local part=$1 directory=$2 a=$3 b=$4 load name sink options pair side
    echo
    echo "| load | MB/s | $b | ratio | CPU s/GiB | $b | ratio | without start | $b | p99 µs | $b | ratio | failed | $b | retransmits | $b | RSS MiB |"
    echo "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for load in "${loads[@]}"; do
        IFS='|' read -r name sink options <<< "$load"
        [[ $name =~ $rows ]] || continue
        rm -f "$work"/runs.*
        for ((pair = 1; pair <= pairs; pair++)); do
            say "$part, $(file_system_of "$directory"), $name: pair $pair of $pairs"
            for side in $(in_turn "$pair" "$a" "$b"); do measure "$side" "$directory" "$sink" "$options"; done
        done
        printf '| %s | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f | %.0f | %.2f | %d | %d | %d | %d | %.0f |\n' "$name" \
            "$(middle "$a" 1)" "$(middle "$b" 1)" "$(ratio "$a" "$b" 1)" \
            "$(middle "$a" 2)" "$(middle "$b" 2)" "$(ratio "$a" "$b" 2)" "$(middle "$a" 3)" "$(middle "$b" 3)" \
            "$(middle "$a" 4)" "$(middle "$b" 4)" "$(ratio "$a" "$b" 4)" \
            "$(column "$a" 6 | total)" "$(column "$b" 6 | total)" "$(column "$a" 7 | total)" "$(column "$b" 7 | total)" "$(middle "$a" 9)"
        printf '{"part":"%s","file_system":"%s","load":%s,"pairs":%d,"ratio":{"mbps":%s,"cpu":%s,"p99":%s},"of":%s,"to":%s}\n' \
            "$part" "$(file_system_of "$directory")" "$(json_string "$name")" "$pairs" \
            "$(ratio "$a" "$b" 1)" "$(ratio "$a" "$b" 2)" "$(ratio "$a" "$b" 4)" "$(side_json "$a")" "$(side_json "$b")" >> "$work/comparisons"
    done
}

# ---------------------------------------------------------------- other parts

# 1000 clients send their heralds at the same moment and go on as soon as they are answered, three times to the same server.
storm() {
    local side round data=$memory_directory/storm failed
    echo
    echo "## A thousand heralds at once"
    echo
    echo "\`ndblast -n 1000 -s 2\`, plain sends, no ramp, three times to the same server, tmpfs. RSS is the peak so far, and what is left 2 s later."
    echo
    echo "| endpoint | round | failed | retransmits | repeated heralds | dropped by the herald socket | p99 ms | longest ms | RSS peak MiB | RSS afterwards MiB |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    for side in ephemeral shared; do
        server_of "$side" ''
        start_server "$data" "${command_line[@]}"
        for round in 1 2 3; do
            say "storm, $side: round $round of 3"
            blast -n 1000 -s 2
            sleep 2
            failed=$(field failed)
            printf '| %s | %d | %d | %d | %d | %d | %.0f | %.0f | %d | %d |\n' "$side" "$round" "$failed" "$(field retransmits)" "$(field herald_retx)" \
                "$(herald_drops)" "$(calc "$(field ack_p99_us) / 1000")" "$(calc "$(field ack_max_us) / 1000")" \
                "$(memory_mib "$server" VmHWM)" "$(memory_mib "$server" VmRSS)"
            printf '{"endpoint":"%s","round":%d,"drops":%d,"rss_peak_mib":%d,"rss_after_mib":%d,"ndblast":%s}\n' "$side" "$round" "$(herald_drops)" \
                "$(memory_mib "$server" VmHWM)" "$(memory_mib "$server" VmRSS)" "$result" >> "$work/storm"
            find "$data" -type f -delete
        done
        stop_server
        rm -rf "$data"
    done
}

# first_answers NAME COMMAND...: ten starts.
first_answers() {
    local name=$1 i data=$memory_directory/start
    shift
    for ((i = 0; i < 10; i++)); do
        "$work/firstack" "$address" "$port" "$clients" "$client_port" -- "$@" -d "$data" >> "$work/start.$name"
        rm -rf "$data"
    done
    printf '| %s | %.0f | %.0f | %.0f |\n' "$name" "$(median < "$work/start.$name")" "$(sort -g "$work/start.$name" | head -n 1)" "$(largest < "$work/start.$name")"
    printf '{"started":"%s","median_ms":%s,"runs_ms":[%s]}\n' "$name" "$(median < "$work/start.$name")" "$(paste -sd, "$work/start.$name")" >> "$work/start"
}

start() {
    say "start"
    echo
    echo "## From exec to the answer to the first herald"
    echo
    echo "\`bench/tools/firstack.c\` sends a herald each millisecond; ten starts."
    echo
    echo "| started | median ms | least | most |"
    echo "|---|---|---|---|"
    collector
    first_answers program "${command_line[@]}"
    if [ -z "$own_program" ]; then
        command_line[0]=$root/netdump-collector
        first_answers launcher "${command_line[@]}"
    fi
}

# Where the exporter sends to, as long as this script runs.
start_sink() {
    local tries
    "$work/otlpsink" 0 "$address" > "$work/sink" &
    on_exit "stop $!"
    for ((tries = 0; tries < 100; tries++)); do
        [ ! -s "$work/sink" ] || break
        sleep 0.02
    done
    sink_at=$address:$(head -n 1 "$work/sink")
}

# Fifty requests, one after the other, while the server has so many sessions.
scrapes() {
    local sessions=$1 data=$memory_directory/scrapes times=$work/scrapes.$1
    server_of scraped ''
    start_server "$data" "${command_line[@]}"
    if [ "$sessions" -gt 0 ]; then blast -n "$sessions" -s 64K --ramp-us 500; fi
    curl --silent --output /dev/null --retry 20 --retry-connrefused "http://$http/metrics?[1-5]"
    curl --silent --output "$work/exposition" --rate 3600/m --write-out '%{time_total}\n' "http://$http/metrics?[1-50]" > "$times"
    printf '| %d | %.1f | %.1f | %d |\n' "$sessions" "$(calc "1000 * $(median < "$times")")" "$(calc "1000 * $(largest < "$times")")" "$(wc -c < "$work/exposition")"
    printf '{"sessions":%d,"median_s":%s,"longest_s":%s}\n' "$sessions" "$(median < "$times")" "$(largest < "$times")" >> "$work/watch"
    stop_server
    rm -rf "$data"
}

watched() {
    local sessions
    build_tools otlpsink
    start_sink
    http=$address:$((port + 1000))
    echo
    echo "## Scraped each second against not, tmpfs"
    compare scraped "$memory_directory" scraped unwatched
    echo
    echo "## Traces, metrics and logs exported (OTLP, http/protobuf, to bench/tools/otlpsink.c on this machine) against not, tmpfs"
    compare traced "$memory_directory" traced unwatched
    echo
    echo "## How long \`/metrics\` takes, ms, 50 requests"
    echo
    echo "| sessions (lingering) | median | longest | bytes |"
    echo "|---|---|---|---|"
    for sessions in 0 1000; do scrapes "$sessions"; done
}

hashes() { find "$1" -name 'dump.*.json' -exec cat {} + 2> /dev/null | grep -c "\"hashState\": *\"$2\"" || true; }

# hash_run deferred|off DIRECTORY: 2 GiB of one client; appends "CPU s/GiB of the transfer, CPU s/GiB of the hash, GiB/s of the hash" to $work/hash.MODE
hash_run() {
    local mode=$1 data=$2/hash before after from to
    collector --hash "$mode"
    sync
    start_server "$data" "${command_line[@]}"
    blast -n 1 -s 2G --sync --gso
    before=$(ticks "$server") from=$(now_s)
    if [ "$mode" = deferred ]; then
        until [ "$(hashes "$data" "done")" = 1 ]; do
            [ "$(hashes "$data" failed)" = 0 ] || fail "a hash failed"
            sleep 0.05
        done
    fi
    after=$(ticks "$server") to=$(now_s)
    stop_server
    rm -rf "$data"
    calc "$before / $ticks_per_s / 2" > "$work/a"
    calc "($after - $before) / $ticks_per_s / 2" > "$work/b"
    calc "$to > $from + 0.05 ? 2 / ($to - $from) : 0" > "$work/c"
    paste -d' ' "$work/a" "$work/b" "$work/c" >> "$work/hash.$mode"
}

# burst_run deferred|off DIRECTORY NAME NDBLAST-OPTIONS: a dump of 4 GiB ends, then others run, while its hash is computed or not; appends
# "MB/s, p99 us, longest us, whether the hash took to the end" to $work/bursts.MODE
burst_run() {
    local mode=$1 data=$2/bursts
    collector --hash "$mode"
    sync
    start_server "$data" "${command_line[@]}"
    blast -n 1 -s 4G --sync --gso
    # shellcheck disable=SC2086
    blast $4
    echo "$(field MBps) $(field ack_p99_us) $(field ack_max_us) $(manifests_pending "$data")" >> "$work/bursts.$mode"
    stop_server
    rm -rf "$data"
}

# 1 while the hash of the first client's dump, the largest, is not there yet.
manifests_pending() {
    local manifest
    manifest=$(find "$1" -name 'dump.*.json' -size -64k -exec grep -l '"dumpLength": *4294967296' {} + 2> /dev/null | head -n 1)
    [ -n "$manifest" ] && grep -q '"hashState": *"pending"' "$manifest" && echo 1 || echo 0
}

field_of() { awk -v f="$2" '{ print $f }' "$work/$1"; }

hash_cost() {
    local pair mode load name options
    echo
    echo "## What the hash costs"
    echo
    for ((pair = 1; pair <= pairs; pair++)); do
        say "hash: pair $pair of $pairs"
        for mode in $(in_turn "$pair" deferred off); do hash_run "$mode" "$memory_directory"; done
    done
    echo "1 client, 2 GiB, tmpfs, medians; measured until the manifest says that the hash is done."
    echo
    echo "| | CPU s/GiB, transfer | CPU s/GiB, hash | hash GiB/s |"
    echo "|---|---|---|---|"
    for mode in deferred off; do
        printf '| --hash %s | %.2f | %.2f | %.2f |\n' "$mode" "$(field_of "hash.$mode" 1 | median)" "$(field_of "hash.$mode" 2 | median)" "$(field_of "hash.$mode" 3 | median)"
        printf '{"hash":"%s","cpu_s_per_gib_transfer":%s,"cpu_s_per_gib_hash":%s,"hash_gib_per_s":%s}\n' "$mode" \
            "$(field_of "hash.$mode" 1 | median)" "$(field_of "hash.$mode" 2 | median)" "$(field_of "hash.$mode" 3 | median)" >> "$work/hash"
    done
    echo
    echo "Dumps that run while the hash of another of 4 GiB is computed (deferred) or not (off)."
    echo
    echo "| load | MB/s, hashing | off | ratio | p99 µs, hashing | off | ratio | longest µs, hashing | off | hash ran to the end of the load |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    for load in '4 clients, kernel pacing|-n 4 -s 48 --kernel-pacing --sync' '16 x 24 MiB|-n 16 -s 24 --sync --gso'; do
        IFS='|' read -r name options <<< "$load"
        rm -f "$work"/bursts.*
        for ((pair = 1; pair <= pairs; pair++)); do
            say "hash beside $name: pair $pair of $pairs"
            for mode in $(in_turn "$pair" deferred off); do burst_run "$mode" "$memory_directory" "$name" "$options"; done
        done
        paste -d' ' "$work/bursts.deferred" "$work/bursts.off" > "$work/both"
        printf '| %s | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f | %.0f | %.0f | %d of %d |\n' "$name" \
            "$(field_of bursts.deferred 1 | median)" "$(field_of bursts.off 1 | median)" "$(awk '{ print $1 / $5 }' "$work/both" | median)" \
            "$(field_of bursts.deferred 2 | median)" "$(field_of bursts.off 2 | median)" "$(awk '{ print $2 / $6 }' "$work/both" | median)" \
            "$(field_of bursts.deferred 3 | largest)" "$(field_of bursts.off 3 | largest)" "$(field_of bursts.deferred 4 | total)" "$pairs"
        printf '{"load":%s,"p99_us_hashing":%s,"p99_us_off":%s,"p99_ratio":%s,"mbps_ratio":%s,"hashed_to_the_end":%d}\n' "$(json_string "$name")" \
            "$(field_of bursts.deferred 2 | median)" "$(field_of bursts.off 2 | median)" "$(awk '{ print $2 / $6 }' "$work/both" | median)" \
            "$(awk '{ print $1 / $5 }' "$work/both" | median)" "$(field_of bursts.deferred 4 | total)" >> "$work/hash"
    done
}

# ---------------------------------------------------------------- all of it

part() { [[ ,$parts, == *,$1,* ]]; }

json_list() { [ ! -f "$1" ] || paste -sd, "$1"; }

build_tools ndblast ndsink firstack
find_program "$own_program"
choose_port
describe_machine
memory_directory=
new_directory memory_directory /dev/shm
touch_memory 5G
if [ -z "$parts" ]; then
    parts=sink,shared,durable,storm,start,hash,watch
    if "$program" serve --help | grep -q -e '--loops'; then parts=$parts,loops; fi
fi

directories=()
if part sink || part durable; then
    if [ ${#own_directories[@]} -gt 0 ]; then
        parents=("${own_directories[@]}")
    else
        parents=()
        [[ ,$on, != *,tmpfs,* ]] || parents+=(/dev/shm)
        [[ ,$on, != *,disk,* ]] || parents+=("$root/artifacts/bench")
    fi
    for parent in "${parents[@]}"; do
        new_directory made "$parent"
        directories+=("$made")
    done
fi

echo "# Benchmarks of netdump-collector"
echo
machine_markdown
echo
echo "Medians of $pairs interleaved pairs of runs; \"ratio\" is the median of the ratios of the pairs. CPU is the server's, its start and just-in-time compilation included, and without"
echo "what it had used when it began to listen; RSS is its peak."
for directory in ${directories[@]+"${directories[@]}"}; do
    part sink || break
    echo
    echo "## Against ndsink, $(file_system_of "$directory") (${directory%/*})"
    compare sink "$directory" ephemeral ndsink
done
if part shared; then
    echo
    echo "## Shared endpoint against ephemeral, tmpfs"
    compare shared "$memory_directory" shared ephemeral
fi
for directory in ${directories[@]+"${directories[@]}"}; do
    part durable || break
    echo
    echo "## Acks that wait for the device (--takeover) against acks that do not, $(file_system_of "$directory") (${directory%/*})"
    compare durable "$directory" durable shared
done
if part loops; then
    echo
    echo "## Two event loops against one, tmpfs"
    compare loops "$memory_directory" loops-2 loops-1
fi
if part storm; then storm; fi
if part start; then start; fi
if part hash; then hash_cost; fi
if part watch; then watched; fi

if [ -n "$json" ]; then
    printf '{"machine":%s,"pairs":%d,"comparisons":[%s],"storm":[%s],"start":[%s],"hash":[%s],"watch":[%s]}\n' "$(machine_json)" "$pairs" \
        "$(json_list "$work/comparisons")" "$(json_list "$work/storm")" "$(json_list "$work/start")" "$(json_list "$work/hash")" "$(json_list "$work/watch")" > "$json"
fi
