#!/usr/bin/env bash
# Measures what a slow and a hung file system cost sessions on another one; prints Markdown. Root only: it mounts file systems. Needs gcc, libfuse3-dev,
# fuse3 and pkg-config.
#
# One collector has its dump directory on tmpfs. Below it a really slow disk is mounted (ext4 on a throttled block device) and a file system that can be
# made to hang (bench/tools/slowfs.c); clients get there by the path in their heralds. Probes are short dumps to tmpfs, one run of ndblast after the other.
#
# usage: bench/slow-disk.sh [options]
#   --size MIB        the dump on the slow disk (4096)
#   --rate MIB        what the slow disk takes a second (64)
#   --hang SECONDS    how long the other file system hangs (10)
#   --parts LIST      slow,hang (both)
#   --json FILE       writes all results there as well
#   --serve OPTIONS   more options for 'serve', in one argument
#   --program FILE    the collector to measure (by default what ./netdump-collector builds)
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

size=4096 rate=64 hang_s=10 parts=slow,hang json='' serve='' own_program=''
while [ $# -gt 0 ]; do
    case $1 in
        --size) size=$2 ;;
        --rate) rate=$2 ;;
        --hang) hang_s=$2 ;;
        --parts) parts=$2 ;;
        --json) json=$(realpath "$2") ;;
        --serve) serve=$2 ;;
        --program) own_program=$2 ;;
        *) sed -n 's/^# \{0,1\}//; /^usage/,/^set/p' "$0" | grep -v '^set' >&2; exit 2 ;;
    esac
    shift 2
done
[ "$(id -u)" = 0 ] || fail "only root can mount file systems"

# ---------------------------------------------------------------- probes

probe_load=(-n 2 -s 24 --kernel-pacing --sync)

# probe: less than a second; appends "phase, start s, p99 us, longest us, handshake ms, failed, retransmits, repeated heralds, whole s" to $work/probes.
# A probe that sees two phases counts for the one that matters, which phase names by a '!'.
probe() {
    local before after from
    before=$(phase) from=$(now_s)
    blast "${probe_load[@]}"
    after=$(phase)
    [[ $before == *! ]] || before=$after
    echo "${before%!} $(calc "$from - $began") $(field ack_p99_us) $(field ack_max_us) $(calc "($(field wall_s) - $(field seconds)) * 1000") \
$(field failed) $(field retransmits) $(field herald_retx) $(field wall_s)" >> "$work/probes"
    # A pattern, because find would ask for the attributes of what hangs.
    rm -f "$data"/vmcore*
}

# other_blast OPTIONS...: ndblast from addresses of its own, in the background; sets $other, its line goes to $work/other
other_blast() {
    "$work/ndblast" -a "$address" -P "$port" --base "${clients%.0.1}.64.1" "$@" > "$work/other" &
    other=$!
    on_exit "stop $other"
}

runs() { kill -0 "$1" 2> /dev/null; }

# row PHASE WORDS: what the probes of a phase saw.
row() {
    local phase=$1 words=$2
    awk -v phase="$phase" '$1 == phase' "$work/probes" > "$work/of-phase"
    of_phase() { awk -v f="$1" '{ print $f }' "$work/of-phase"; }
    printf '| %s | %d | %.0f | %.0f | %.1f | %.1f | %.1f | %d | %d | %d |\n' "$words" "$(of_phase 1 | wc -l)" "$(of_phase 3 | median)" "$(of_phase 3 | largest)" \
        "$(calc "$(of_phase 4 | largest)/1000")" "$(of_phase 5 | largest)" "$(of_phase 9 | largest)" "$(of_phase 6 | total)" "$(of_phase 7 | total)" "$(of_phase 8 | total)"
    printf '{"phase":%s,"probes":%d,"p99_us_median":%s,"p99_us_largest":%s,"max_us":%s,"handshake_ms":%s,"longest_probe_s":%s,"failed":%d,"retransmits":%d,"repeated_heralds":%d,"by_time":[%s]}\n' \
        "$(json_string "$words")" "$(of_phase 1 | wc -l)" "$(of_phase 3 | median)" "$(of_phase 3 | largest)" "$(of_phase 4 | largest)" "$(of_phase 5 | largest)" "$(of_phase 9 | largest)" \
        "$(of_phase 6 | total)" "$(of_phase 7 | total)" "$(of_phase 8 | total)" \
        "$(awk '{ printf "%s{\"s\":%s,\"p99_us\":%s,\"max_us\":%s}", (NR > 1 ? "," : ""), $2, $3, $4 }' "$work/of-phase")" >> "$work/phases"
}

table_head() {
    echo "| sessions on tmpfs | probes | p99 µs, median | p99 µs, worst probe | longest burst ms | longest handshake ms | longest probe s | failed | retransmits | repeated heralds |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
}

begin() {
    began=$(now_s)
    rm -f "$work/probes"
    touch "$work/probes"
}

# probe_for SECONDS
probe_for() {
    local until
    until=$(calc "$(now_s) + $1")
    while [ "$(calc "$(now_s) < $until")" = 1 ]; do probe; done
}

# ---------------------------------------------------------------- a slow disk

written() { [ "$(stat -c %s "$data/slow/dd" 2> /dev/null || echo 0)" -ge $((size << 20)) ]; }

arrived() { [ -z "$(find "$data/slow" -name 'partial.*' ! -name '*.ledger' -size "-${size}M" 2> /dev/null)" ]; }

slow_part() {
    local finish_began=0
    say "slow disk: alone"
    begin
    phase() { echo alone; }
    probe_for 10

    say "slow disk: dd writes $size MiB and syncs them"
    dd if=/dev/zero of="$data/slow/dd" bs=64K count=$((size * 16)) conv=fsync 2> /dev/null &
    other=$!
    on_exit "stop $other"
    phase() {
        if ! runs "$other"; then echo after; elif written; then echo dd-syncs!; else echo dd-writes!; fi
    }
    while runs "$other"; do probe; done
    rm -f "$data/slow/dd"

    say "slow disk: a dump of $size MiB arrives and is made durable at $rate MiB/s"
    other_blast -n 1 -s "$size" --path slow --rounds 1000 --sync --gso
    sleep 0.2
    phase() {
        if ! runs "$other"; then echo after; elif arrived; then echo finishing!; else echo arriving!; fi
    }
    while runs "$other"; do
        if [ "$finish_began" = 0 ] && arrived; then finish_began=$(now_s); fi
        probe
    done
    say "slow disk: $(cat "$work/other")"

    echo
    echo "## A dump of $size MiB on a disk of $rate MiB/s"
    echo
    table_head
    row alone "alone"
    row dd-writes "while dd writes as much there, no dump"
    row dd-syncs "while dd waits for fsync, no dump"
    row arriving "while it arrives"
    row finishing "while it is made durable"
    echo
    echo "From the last data to the end of the dump: $(calc "$(now_s) - $finish_began") s; the slow dump: $(cat "$work/other")"
}

# ---------------------------------------------------------------- a file system that hangs

hang_part() {
    local newcomer
    begin
    say "hang: two dumps to the file system that will hang"
    other_blast -n 2 -s 1G --path hung --kernel-pacing --rounds 60
    sleep 0.2
    phase() { echo before; }
    probe_for 4

    say "hang: it hangs for $hang_s s"
    phase() { echo hung!; }
    # In the background: probes have to be under way when it begins, and when it ends.
    (
        sleep 0.3
        echo 'hang all' > "$work/hung/control"
        sleep "$hang_s"
        echo go > "$work/hung/control"
    ) &
    switch=$!
    on_exit "stop $switch"
    # One more comes to it while it hangs.
    (
        sleep 2
        exec "$work/ndblast" -a "$address" -P "$port" --base "${clients%.0.1}.128.1" -n 1 -s 1 --path hung --rounds 60
    ) > "$work/newcomer" &
    newcomer=$!
    on_exit "stop $newcomer"
    while runs "$switch"; do probe; done
    phase() { echo after; }
    probe_for 4
    wait "$other" || true
    wait "$newcomer" || true

    echo
    echo "## A file system hangs for $hang_s s"
    echo
    table_head
    row before "before, two dumps run there"
    row hung "while it hangs"
    row after "after"
    echo
    echo "The two dumps on it: $(cat "$work/other")"
    echo
    echo "One that came while it hung: $(cat "$work/newcomer")"
}

# ---------------------------------------------------------------- all of it

part() { [[ ,$parts, == *,$1,* ]]; }

build_tools ndblast slowfs
find_program "$own_program"
choose_port
describe_machine
memory_directory=
new_directory memory_directory /dev/shm
disk_directory=
new_directory disk_directory "$root/artifacts/bench"
data=$memory_directory/dumps
mkdir -p "$data/slow" "$data/hung"
touch_memory 5G
# The disk holds the dump, the journal and what the file system needs besides.
if part slow; then slow_disk_start "$disk_directory/slow" $((size + size / 8 + 256)) $((rate << 20)) "$data/slow"; fi
if part hang; then mount_slowfs "$work/hung" "$data/hung"; fi
# The probes are more dumps from few addresses than hosts panic.
collector --hash off --source-rate 1000000 --network-rate 1000000
start_server "$data" "${command_line[@]}"
# The server goes before what it writes to, and needs that to work.
on_exit stop_server
if part slow; then on_exit "echo 'bytes-per-s 0' > '$disk_directory/slow/control'"; fi
if part hang; then on_exit "echo go > '$work/hung/control'"; fi

echo "# Sessions beside slow file systems"
echo
machine_markdown
echo
echo "Probes: \`ndblast ${probe_load[*]}\`, one after the other. The handshake is the time until the last client of a probe has its session; the longest probe tells of what else"
echo "held one up, its FINISHED included."
if part slow; then slow_part; fi
if part hang; then hang_part; fi
if [ -n "$json" ]; then
    printf '{"machine":%s,"size_mib":%d,"rate_mib_per_s":%d,"hang_s":%d,"phases":[%s]}\n' "$(machine_json)" "$size" "$rate" "$hang_s" "$(paste -sd, "$work/phases")" > "$json"
fi
