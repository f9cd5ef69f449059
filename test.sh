#!/usr/bin/env bash
# Builds everything once and runs every test. Last line: N passed, N failed[, N skipped].
# Simulation: NETDUMP_SIM_SEED, NETDUMP_SIM_SEEDS and NETDUMP_SIM_FIRST choose the seeds. Fuzzing: see bench/fuzz.sh.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" || exit 1

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
# The operator's settings are not the tests' settings.
for variable in $(compgen -e | grep -E '^(NETDUMP|OTEL)_' | grep -vE '^NETDUMP_(SIM|FUZZ)_'); do
    unset "$variable"
done

mapfile -t packages < <(eng/missing-packages.sh)
if [ "${#packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${packages[*]} for bench/tools and the tests that need real servers…"
        eng/install-packages.sh "${packages[@]}" >/dev/null 2>&1
    fi
    command -v gcc >/dev/null || echo "gcc is not here and cannot be installed: the end-to-end tests that need ndblast are skipped."
    pkg-config --exists fuse3 2>/dev/null || echo "libfuse3-dev and pkg-config are not here and cannot be installed: the tests of slow and hanging file systems are skipped."
    command -v ip >/dev/null || echo "iproute2 is not here and cannot be installed: the tests of takeover in network namespaces are skipped."
    command -v promtool >/dev/null && command -v prometheus >/dev/null ||
        echo "prometheus is not here and cannot be installed: the tests that read metrics, alerts and dashboards with it are skipped (they fail where CI is set)."
    command -v chromium >/dev/null || echo "chromium is not here and cannot be installed: the tests of the status pages in a browser are skipped (they fail where CI is set)."
    command -v radosgw >/dev/null || echo "ceph-mon, ceph-osd and radosgw are not here and cannot be installed: the tests of the object store are skipped (they fail where CI is set)."
    [ -x /usr/lib/postgresql/15/bin/postgres ] || echo "PostgreSQL is not here and cannot be installed: the tests of fleets are skipped (they fail where CI is set)."
fi
if ! kubectl version --client 2>/dev/null | grep -q '^Kustomize Version: v[5-9]'; then
    echo "A kubectl with kustomize 5 is not here, and Debian 12 has none: what deploy/k8s makes is not looked at."
fi
if ! [ "$(id -u)" = 0 ] || ! [ -e /dev/fuse ]; then
    echo "Without root and /dev/fuse no FUSE file system can be mounted: the tests of slow and hanging file systems and those of takeover are skipped."
fi

results=$PWD/TestResults
rm -rf "$results"
mkdir -p "$results"
echo "Building…"
if ! dotnet build netdump-collector.slnx --configuration Release --verbosity quiet >"$results/build.log" 2>&1; then
    cat "$results/build.log"
    echo "0 passed, 1 failed"
    exit 1
fi

# Counters of a TRX file: total, passed, failed.
counter() {
    grep -o '<Counters [^>]*' "$1" | grep -o " $2=\"[0-9]*\"" | grep -o '[0-9]*'
}

# Runs the tests of one project; its counters go to $results/NAME.trx.
run() {
    dotnet test "$1" --configuration Release --no-build --logger "trx;LogFileName=$2.trx" --results-directory "$results" --blame-hang-timeout 20m --blame-hang-dump-type none
}

passed=0 failed=0 skipped=0
# Adds what the project NAME came to; CODE is what its run ended with.
count() {
    local name=$1 code=$2 trx=$results/$1.trx project_passed=0 project_failed=0 total=0
    if [ -f "$trx" ]; then
        total=$(counter "$trx" total) project_passed=$(counter "$trx" passed) project_failed=$(counter "$trx" failed)
    fi
    if [ "$code" != 0 ] && [ "$project_failed" = 0 ]; then
        echo "$name ended with code $code without naming a failed test"
        project_failed=1 total=$((total + 1))
    fi
    passed=$((passed + project_passed)) failed=$((failed + project_failed)) skipped=$((skipped + total - project_passed - project_failed))
}

# What is installed, where it can be made. The end-to-end tests are about its program: it is compiled ahead of time, as everywhere but in a build, and the tests of it need it anyway.
package() {
    eng/package.sh --output "$results/packages" && mkdir "$results/packages/program" && tar -xzf "$results"/packages/*.tar.gz -C "$results/packages/program" --strip-components=1
}

# That and the projects, as many at one time as there are processors, shown when all have ended. Then the end-to-end tests, which want the machine for themselves.
package >"$results/package.log" 2>&1 &
for project in tests/*/*.csproj; do
    name=$(basename "$project" .csproj)
    [ "$name" != EndToEnd.Tests ] || continue
    while [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; do
        wait -n
    done
    { run "$project" "$name" >"$results/$name.log" 2>&1; echo $? >"$results/$name.code"; } &
done
wait
[ ! -x "$results/packages/program/bin/netdump-collector" ] || export NETDUMP_TEST_PACKAGES=$results/packages
for log in "$results"/*.Tests.log; do
    name=$(basename "$log" .log)
    echo "== $name"
    cat "$log"
    count "$name" "$(<"$results/$name.code")"
done
echo "== EndToEnd.Tests"
run tests/EndToEnd.Tests/EndToEnd.Tests.csproj EndToEnd.Tests
count EndToEnd.Tests $?

if [ "$skipped" = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
