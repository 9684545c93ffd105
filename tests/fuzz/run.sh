#!/usr/bin/env bash
# Builds the libFuzzer targets with clang 14 and runs each for SECONDS on a copy of its corpus:
#   tests/fuzz/run.sh BUILD SECONDS
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/fuzz/run.sh BUILD SECONDS} seconds=${2:-60}
export CC=clang-14 CXX=clang++-14
[ -f "$build/build.ninja" ] || meson setup "$build" -Dfuzz=true -Dbench=false -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
targets=$(sed -n "s/^  '\([a-z0-9_]*\)': .*/tests\/fuzz\/fuzz_\1/p" tests/fuzz/meson.build)
# shellcheck disable=SC2086
ninja -C "$build" $targets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for target in $targets; do
  name=${target##*/fuzz_}
  mkdir -p "$work/$name"
  echo "fuzz $name for ${seconds}s"
  "$build/$target" -max_total_time="$seconds" -max_len=65536 -print_final_stats=0 -verbosity=0 \
    -artifact_prefix="$work/$name-crash-" "$work/$name" "tests/fuzz/corpus/$name" ||
    { cp "$work/$name"-crash-* "tests/fuzz/corpus/$name/" 2>/dev/null || true; echo "finding kept in tests/fuzz/corpus/$name"; exit 1; }
done
