#!/usr/bin/env bash
# What uploading to an object store costs receiving, and how fast it is beside full load and alone; prints Markdown. Needs gcc, curl, chrt and Debian's ceph-mon, ceph-osd and radosgw.
#
# Pairs that take turns: the same load with nothing to upload, and with a backlog that is uploaded meanwhile. The store runs on this machine with SCHED_IDLE and keeps everything in memory, so that it is as little in the way as it can be.
#
# usage: bench/store.sh [options]
#   --pairs N         pairs (5)
#   --load OPTIONS    ndblast's, in one argument (-n 16 -s 64 --sync --gso)
#   --backlog MIB     what there is to upload during a run (1024)
#   --dir DIR         where dumps land (/dev/shm)
#   --store OPTIONS   more options for uploading, in one argument, such as '--store-compress zstd'
#   --program FILE    the collector to measure (by default what ./netdump-collector builds)
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pairs=5 load='-n 16 -s 64 --sync --gso' backlog=1024 parent=/dev/shm store='' own_program='' serve=''
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2 ;;
        --load) load=$2 ;;
        --backlog) backlog=$2 ;;
        --dir) parent=$2 ;;
        --store) store=$2 ;;
        --program) own_program=$2 ;;
        *) sed -n 's/^# \{0,1\}//; /^usage/,/^set/p' "$0" | grep -v '^set' >&2; exit 2 ;;
    esac
    shift 2
done

export AWS_ACCESS_KEY_ID=BENCH AWS_SECRET_ACCESS_KEY=BENCHSECRET AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/nonexistent AWS_SHARED_CREDENTIALS_FILE=/nonexistent
bucket=bench
monitor_port=$((36000 + RANDOM % 500)) store_port=$((36600 + RANDOM % 500))

# start_store SCRATCH: a ceph-mon, a ceph-osd and a radosgw on loopback, with a user and a bucket.
start_store() {
    local scratch=$1 fsid osd libraries conf keyring tries
    fsid=$(cat /proc/sys/kernel/random/uuid) osd=$(cat /proc/sys/kernel/random/uuid)
    libraries=$(echo /usr/lib/*-linux-gnu/ceph)
    conf=$scratch/ceph.conf keyring=$scratch/keyring
    mkdir -p "$scratch/mon" "$scratch/osd" "$scratch/run"
    cat > "$conf" << CONF
[global]
fsid = $fsid
mon_host = v2:127.0.0.1:$monitor_port/0
mon_initial_members = a
public_addr = 127.0.0.1
keyring = $keyring
mon_data = $scratch/mon
osd_data = $scratch/osd
rgw_data = $scratch
run_dir = $scratch/run
pid_file = $scratch/run/\$name.pid
admin_socket = $scratch/run/\$name.\$pid.asok
log_file = /dev/null
mon_cluster_log_file = /dev/null
plugin_dir = $libraries
osd_class_dir = ${libraries%/ceph}/rados-classes
erasure_code_dir = $libraries/erasure-code
osd_objectstore = memstore
memstore_device_bytes = 17179869184
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 0
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
rgw_frontends = beast endpoint=127.0.0.1:$store_port
rgw_thread_pool_size = 32
CONF
    {
        ceph-authtool --create-keyring "$keyring" --gen-key -n mon. --cap mon 'allow *'
        ceph-authtool "$keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
        ceph-authtool "$keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
        monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor_port]" "$scratch/monmap"
        ceph-mon -c "$conf" --mkfs -i a --keyring "$keyring" --monmap "$scratch/monmap"
    } > "$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "ceph-mon cannot be set up"; }
    chrt --idle 0 ceph-mon -c "$conf" -i a -f >> "$scratch/log" 2>&1 &
    on_exit "stop $!"
    { timeout 60 ceph -c "$conf" osd new "$osd" && ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd"; } >> "$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "ceph-osd cannot be set up"; }
    chrt --idle 0 ceph-osd -c "$conf" -i 0 -f >> "$scratch/log" 2>&1 &
    on_exit "stop $!"
    chrt --idle 0 radosgw -c "$conf" -n client.admin -f >> "$scratch/log" 2>&1 &
    on_exit "stop $!"
    for ((tries = 0; tries < 600; tries++)); do
        curl -s -o "$scratch/answer" "http://127.0.0.1:$store_port/" && break
        sleep 0.1
    done
    timeout 60 radosgw-admin -c "$conf" user create --uid=bench --display-name=bench --access-key="$AWS_ACCESS_KEY_ID" --secret-key="$AWS_SECRET_ACCESS_KEY" >> "$scratch/log" 2>&1 || fail "the store did not start: $(tail -n 3 "$scratch/log")"
    curl -s -f -X PUT --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H "x-amz-content-sha256: $(sha256sum < /dev/null | cut -d' ' -f1)" "http://127.0.0.1:$store_port/$bucket" || fail "the bucket cannot be made"
}

# metric NAME: of the running server.
metric() { curl -s "http://$address:$port/metrics" | awk -v name="$1" '$1 == name { v = $2 } END { print v + 0 }'; }

# run STORED: blasts with or without a backlog that is uploaded, and sets mb_s, p99, cpu, sent_mb_s.
run() {
    local options=() before after cpu_before began
    find "$data" -mindepth 1 -delete
    if [ "$1" = yes ]; then
        cp -r "$backlog_directory/." "$data/"
        # shellcheck disable=SC2206
        options=(--store "s3://$bucket/$RANDOM$RANDOM" --store-endpoint "http://127.0.0.1:$store_port" --store-path-style $store)
    fi
    collector --hash off --http "$address:$port" "${options[@]}"
    start_server "$data" "${command_line[@]}"
    if [ "$1" = yes ]; then
        for _ in $(seq 600); do [ "$(metric netdump_store_uploaded_parts_total)" -ge 1 ] && break; sleep 0.1; done
    else
        sleep 2
    fi
    before=$(metric netdump_store_uploaded_bytes_total) cpu_before=$(ticks "$server") began=$(now_s)
    # shellcheck disable=SC2086
    blast $load --seed "$RANDOM"
    after=$(metric netdump_store_uploaded_bytes_total)
    seconds=$(calc "$(now_s) - $began")
    mb_s=$(field MBps) p99=$(field ack_p99_us) failed=$(field failed)
    cpu=$(calc "($(ticks "$server") - $cpu_before) / $ticks_per_s")
    sent_mb_s=$(calc "($after - $before) / 1e6 / $seconds")
    stop_server
}

# alone: uploads the backlog with nothing else going on, and sets sent_mb_s and cpu.
alone() {
    local began
    find "$data" -mindepth 1 -delete
    cp -r "$backlog_directory/." "$data/"
    # shellcheck disable=SC2086
    collector --hash off --http "$address:$port" --store "s3://$bucket/$RANDOM$RANDOM" --store-endpoint "http://127.0.0.1:$store_port" --store-path-style $store
    start_server "$data" "${command_line[@]}"
    began=$(now_s)
    for _ in $(seq 3000); do [ "$(metric netdump_store_pending_dumps)" = 0 ] && [ "$(metric netdump_store_uploaded_dumps_total)" -gt 0 ] && break; sleep 0.1; done
    sent_mb_s=$(calc "$backlog * 1.048576 / ($(now_s) - $began)")
    cpu=$(calc "$(ticks "$server") / $ticks_per_s / $backlog * 1024")
    peak=$(memory_mib "$server" VmHWM)
    stop_server
}

build_tools ndblast
find_program "$own_program"
choose_port
describe_machine
new_directory data "$parent"
new_directory backlog_directory "$parent"
new_directory scratch "$parent"
start_store "$scratch"

say "making the backlog ..."
collector --hash off --http off
start_server "$backlog_directory" "${command_line[@]}"
blast -n 8 -s $((backlog / 8)) --sync --gso
sleep 1
stop_server
find "$backlog_directory" -name '*partial.*' -delete

echo "Uploading beside full load: \`bench/store.sh --pairs $pairs --load '$load' --backlog $backlog${store:+ --store '$store'}\`"
machine_markdown
echo
echo "| pair | MB/s | uploading | ratio | p99 us | uploading | ratio | CPU s | uploading | uploaded MB/s | failed |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
for ((pair = 1; pair <= pairs; pair++)); do
    order=(no yes)
    [ $((pair % 2)) = 1 ] || order=(yes no)
    for stored in "${order[@]}"; do
        run "$stored"
        printf -v "row_$stored" '%s' "$mb_s $p99 $cpu $sent_mb_s $failed"
    done
    # shellcheck disable=SC2154
    read -r a_mb a_p99 a_cpu _ a_failed <<< "$row_no"
    # shellcheck disable=SC2154
    read -r b_mb b_p99 b_cpu b_sent b_failed <<< "$row_yes"
    calc "$b_mb / $a_mb" >> "$work/ratios"
    calc "$b_p99 / $a_p99" >> "$work/p99s"
    echo "$b_sent" >> "$work/sent"
    printf '| %d | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f | %.1f | %.1f | %.1f | %d |\n' "$pair" "$a_mb" "$b_mb" "$(calc "$b_mb / $a_mb")" "$a_p99" "$b_p99" "$(calc "$b_p99 / $a_p99")" "$a_cpu" "$b_cpu" "$b_sent" $((a_failed + b_failed))
done
echo
alone
echo "Medians: throughput $(round "$(median < "$work/ratios")" 2), p99 $(round "$(median < "$work/p99s")" 2), uploaded beside load $(round "$(median < "$work/sent")" 1) MB/s; alone $(round "$sent_mb_s" 1) MB/s with $(round "$cpu" 2) CPU s/GiB of the collector, whose peak was $peak MiB."
