# shellcheck shell=bash
# shellcheck disable=SC2034 # Variables that the scripts use.
# What the benchmark scripts share; sourced by them. Needs bash, awk, gcc and the usual Linux tools.
#
# Everything runs on loopback: the server on an address of its own, the clients of ndblast on others, so that two benchmarks on one machine do not meet.
# Each process is stopped by its id and each directory removed at exit, also on interrupt.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
network=$((RANDOM % 200 + 1))
address=127.3.$network.1
clients=127.$((40 + network % 20)).0.1
client_port=20024
port=
program=
server=
blaster=
undo=()

say() { echo "$*" >&2; }
fail() { say "$(basename "$0"): $*"; exit 1; }

# ---------------------------------------------------------------- leaving nothing behind

# The command is run at exit; the last one first.
on_exit() { undo+=("$*"); }

leave() {
    local i
    trap - EXIT INT TERM HUP
    for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
        eval "${undo[i]}" > /dev/null 2>&1 || true
    done
    exit "$1"
}

trap 'leave $?' EXIT
trap 'leave 130' INT
trap 'leave 143' TERM HUP
on_exit "rm -rf '$work'"

# stop PID: ends a process of ours and waits for it.
stop() {
    [ -n "$1" ] || return 0
    kill "$1" 2> /dev/null || true
    wait "$1" 2> /dev/null || true
}

stop_server() { stop "$server"; server=; }
# shellcheck disable=SC2016
on_exit 'stop_server; stop "$blaster"'

# new_directory VARIABLE PARENT: makes a directory that is removed at exit.
new_directory() {
    local path_made
    mkdir -p "$2"
    path_made=$(mktemp -d -p "$2" bench-XXXXXX)
    on_exit "rm -rf '$path_made'"
    printf -v "$1" '%s' "$path_made"
}

# ---------------------------------------------------------------- programs

# Compiles tools of bench/tools into $work.
build_tools() {
    local tool
    for tool in "$@"; do
        case $tool in
            slowfs | nodefs)
                pkg-config --exists fuse3 || fail "$tool needs libfuse3-dev, fuse3 and pkg-config"
                # shellcheck disable=SC2046
                gcc -std=c11 -O2 -o "$work/$tool" "$root/bench/tools/$tool.c" $(pkg-config --cflags --libs fuse3) ;;
            *) gcc -std=c11 -O2 -o "$work/$tool" "$root/bench/tools/$tool.c" -lpthread ;;
        esac
    done
}

# find_program [FILE]: sets $program, by default to what the launcher builds from this checkout, whose lock is held so that no later build removes it.
find_program() {
    local sdk
    if [ -n "${1:-}" ]; then
        program=$(readlink -f "$1")
    else
        "$root/netdump-collector" --version > /dev/null
        program=$(readlink -f "$root/artifacts/launcher/current")/netdump-collector
        exec {build_lock}< "${program%/*}"
        flock --shared "$build_lock"
    fi
    [ -x "$program" ] || fail "there is no program $program"
    if [ -z "${DOTNET_ROOT:-}" ] && sdk=$(command -v dotnet); then
        DOTNET_ROOT=$(dirname "$(readlink -f "$sdk")")
        export DOTNET_ROOT
    fi
}

port_is_taken() { ss -Huln "sport = :$1" | grep -q .; }

choose_port() {
    port=$((20030 + RANDOM % 60))
    while port_is_taken "$port"; do port=$((20030 + RANDOM % 60)); done
}

# start_server DIRECTORY COMMAND...: starts a server there as $server; returns when it takes heralds.
start_server() {
    local directory=$1 tries
    shift
    mkdir -p "$directory"
    "$@" -d "$directory" > "$work/server.log" 2>&1 &
    server=$!
    for ((tries = 0; tries < 500; tries++)); do
        if port_is_taken "$port"; then
            # The collector says when it is done with its start; ndsink is done when it has its port.
            [[ "$*" != *" serve "* ]] || grep -q 'Waiting for clients' "$work/server.log" || { sleep 0.01; continue; }
            return
        fi
        kill -0 "$server" 2> /dev/null || break
        sleep 0.01
    done
    cat "$work/server.log" >&2
    fail "the server did not start: $*"
}

# The collector's command line, without its directory; arguments are added to it.
# shellcheck disable=SC2206,SC2154
collector() { command_line=("$program" serve -a "$address" --port "$port" --client-port "$client_port" --progress off "$@" $serve); }

# blast OPTIONS...: runs ndblast against the server and sets $result to its line.
blast() {
    "$work/ndblast" -a "$address" -P "$port" --base "$clients" "$@" > "$work/blast" &
    blaster=$!
    wait "$blaster" || true
    blaster=
    result=$(cat "$work/blast")
    [ -n "$result" ] || fail "ndblast gave no result: $*"
}

# ---------------------------------------------------------------- measuring

# field NAME: a number of $result.
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<< "$result"; }

# CPU time of a process in clock ticks, its ended threads included.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
ticks_per_s=$(getconf CLK_TCK)

# memory_mib PID VmHWM|VmRSS
memory_mib() { awk -v what="$2:" '$1 == what { print int($2 / 1024) }' "/proc/$1/status"; }

# Datagrams that the sockets on the server's herald port dropped since it started.
herald_drops() { awk -v port="$(printf ':%04X' "$port")" 'substr($2, 9) == port { drops += $NF } END { print drops + 0 }' /proc/net/udp; }

# Medians and sums of numbers on standard input, one a line.
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR == 0) print 0; else print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
total() { awk '{ s += $1 } END { print s + 0 }'; }
largest() { sort -g | tail -n 1; }

# calc EXPRESSION: a number; division by 0 gives 0.
calc() { awk "BEGIN { print ($1) }" 2> /dev/null || echo 0; }
round() { awk -v x="$1" -v digits="$2" 'BEGIN { printf "%.*f", digits, x }'; }

now_s() { awk '{ print $1 }' /proc/uptime; }

# touch_memory SIZE: a virtual machine gives memory that is touched for the first time slowly; afterwards all runs find the same.
touch_memory() {
    head -c "$1" /dev/zero > "$memory_directory/zeros"
    rm "$memory_directory/zeros"
}

# give_space_back DIRECTORY: ends what a run wrote. On a disk the files are only emptied, and removed with their parent at exit: ext4 does not give an inode away
# for 60 to 300 s after its file was removed and looks at each such inode when it makes a file, so that runs would pay for the ones before.
give_space_back() {
    if [ "$(stat -f -c %T "$1")" = tmpfs ]; then
        rm -rf "$1"
    else
        find "$1" -type f -size +0 -exec chmod u+w {} + -exec truncate -s 0 {} +
    fi
}

# ---------------------------------------------------------------- describing

json_string() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

file_system_of() { stat -f -c %T "$1" | sed 's|ext2/ext3|ext4|'; }

describe_machine() {
    date=$(date -u +%Y-%m-%dT%H:%MZ)
    commit=$(git -C "$root" rev-parse --short HEAD 2> /dev/null || echo unknown)
    [ -z "$(git -C "$root" status --porcelain -- src 2> /dev/null)" ] || commit="$commit with uncommitted changes in src"
    [ -z "$own_program" ] || commit="unknown, the program was built elsewhere"
    kernel=$(uname -sr)
    dotnet=$("${DOTNET_ROOT:-/usr/share/dotnet}/dotnet" --list-runtimes 2> /dev/null | awk '$1 == "Microsoft.NETCore.App" { v = $2 } END { print v ? v : "unknown" }')
    cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
    cores=$(nproc)
    memory=$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
}

machine_markdown() {
    echo "Machine: $cpu, $cores cores, $memory GiB; $kernel; .NET $dotnet. Date: $date. Commit: $commit. Program: $program${serve:+, options: $serve}."
}

machine_json() {
    printf '{"cpu":%s,"cores":%d,"memory_gib":%d,"kernel":%s,"dotnet":%s,"date":%s,"commit":%s,"program":%s,"serve_options":%s}' \
        "$(json_string "$cpu")" "$cores" "$memory" "$(json_string "$kernel")" "$(json_string "$dotnet")" "$(json_string "$date")" \
        "$(json_string "$commit")" "$(json_string "$program")" "$(json_string "$serve")"
}

# ---------------------------------------------------------------- slow file systems; root only

# mount_slowfs SCRATCH MOUNTPOINT [OPTIONS...]: mounts SCRATCH/files through bench/tools/slowfs.c; sets $slowfs to its process id.
# Lines like 'hang all', 'go' or 'bytes-per-s 1000000' are written to SCRATCH/control.
mount_slowfs() {
    local scratch=$1 mountpoint=$2 tries
    shift 2
    mkdir -p "$scratch/files" "$mountpoint"
    "$work/slowfs" --control "$scratch/control" "$@" "$scratch/files" "$mountpoint" > "$scratch/log" 2>&1 &
    slowfs=$!
    on_exit "stop $slowfs"
    for ((tries = 0; tries < 200; tries++)); do
        grep -q ready "$scratch/log" && return
        sleep 0.02
    done
    cat "$scratch/log" >&2
    fail "slowfs was not mounted on $mountpoint"
}

# slow_disk_start SCRATCH SIZE_MIB BYTES_PER_S MOUNTPOINT: mounts a really slow disk: ext4 on a loop device whose blocks lie on slowfs with a limit of
# bytes/s. Writes go to the page cache as on any disk, until the kernel throttles whoever writes; fsync takes what the limit says.
slow_disk_start() {
    local scratch=$1 mib=$2 bytes_per_s=$3 mountpoint=$4 device
    mkdir -p "$scratch/files" "$mountpoint"
    truncate -s "${mib}M" "$scratch/files/disk"
    mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$scratch/files/disk"
    mount_slowfs "$scratch" "$scratch/slow"
    device=$(losetup --find --show "$scratch/slow/disk")
    on_exit "losetup -d $device"
    mount -t ext4 "$device" "$mountpoint"
    on_exit "umount '$mountpoint' || umount -l '$mountpoint'"
    # Lifted before the unmount, which writes what is dirty.
    on_exit "echo 'bytes-per-s 0' > '$scratch/control'"
    echo "bytes-per-s $bytes_per_s" > "$scratch/control"
}
