#!/usr/bin/env bash
# Gives everything that reads what strangers or disks made (tests/Fuzz.Tests) inputs that no good program makes, until one breaks it or enough were tried.
#
# usage: bench/fuzz.sh [options]
#   --inputs N      inputs for each target (100000)
#   --seed N        the same seed gives the same inputs (by the clock)
#   --target NAME   only this target: message, kdh, path, minidump, ledger, heralds, manifest, settings, hosts, networks, state or session
#   --hex BYTES     only this input, as a failure prints it; with --target
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
export NETDUMP_FUZZ_INPUTS=100000 NETDUMP_FUZZ_SEED=$(($(date +%s) & 0x7fffffff)) NETDUMP_FUZZ_TARGET='' NETDUMP_FUZZ_HEX=''
while [ $# -gt 0 ]; do
    case $1 in
        --inputs) NETDUMP_FUZZ_INPUTS=$2 ;;
        --seed) NETDUMP_FUZZ_SEED=$2 ;;
        --target) NETDUMP_FUZZ_TARGET=$2 ;;
        --hex) NETDUMP_FUZZ_HEX=$2 ;;
        *) sed -n 's/^# \{0,1\}//; /^usage/,/^set/p' "$0" | grep -v '^set' >&2; exit 2 ;;
    esac
    shift 2
done

echo "Seed $NETDUMP_FUZZ_SEED, $NETDUMP_FUZZ_INPUTS inputs for each target."
exec nice -n 19 dotnet test tests/Fuzz.Tests --configuration Release --verbosity quiet --logger 'console;verbosity=detailed'
