#!/usr/bin/env bash
# Runs the micro-benchmarks (bench/Micro, BenchmarkDotNet); the tables are printed and left in artifacts/bench-micro. About three minutes.
# usage: bench/micro.sh [BenchmarkDotNet's options]     for example: bench/micro.sh --filter '*Session*' --job medium
# 'dotnet run -c Release --project bench/Micro -- gc FILE.nettrace' prints the garbage collections of a trace (see bench/Micro/GcPauses.cs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
[ $# -gt 0 ] || set -- --filter '*' --job short
exec dotnet run --configuration Release --project bench/Micro -- --artifacts artifacts/bench-micro "$@"
