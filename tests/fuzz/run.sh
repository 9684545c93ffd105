#!/usr/bin/env bash
# Builds the libFuzzer targets and runs each for SECONDS, two at a time, on a copy of its corpus:
#   tests/fuzz/run.sh BUILD SECONDS [NAME...]
# Without names all of them. A finding is kept in the corpus; the others still run.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/fuzz/run.sh BUILD SECONDS [NAME...]} seconds=${2:-60}
names=${*:3}
[ -n "$names" ] || names=$(sed -n "s/^  '\([a-z0-9_]*\)': .*/\1/p" tests/fuzz/meson.build)
# shellcheck disable=SC2086
tests/fuzz/build.sh "$build" $(printf ' tests/fuzz/fuzz_%s' $names)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fuzz() { # NAME
  mkdir "$work/$1"
  if "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=65536 -verbosity=1 -print_final_stats=1 \
    -artifact_prefix="$work/$1-" "$work/$1" "tests/fuzz/corpus/$1" >"$work/$1.log" 2>&1; then
    echo "fuzz $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log") inputs in ${seconds}s"
    return
  fi
  tail -n 60 "$work/$1.log"
  cp "$work/$1"-* "tests/fuzz/corpus/$1/" 2>/dev/null || true
  echo "fuzz $1: a finding, kept in tests/fuzz/corpus/$1"
  return 1
}
export -f fuzz
export build seconds work
# shellcheck disable=SC2016
printf '%s\n' $names | xargs -P 2 -I NAME bash -c 'fuzz NAME'
