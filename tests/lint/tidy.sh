#!/usr/bin/env bash
# clang-tidy 14 over our own sources: tests/lint/tidy.sh BUILD [FILE...]
# BUILD is only set up, never built. Without files all of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/lint/tidy.sh BUILD [FILE...]}
shift
[ -f "$build/build.ninja" ] || CC=clang-14 CXX=clang++-14 meson setup "$build" >/dev/null
files=("$@")
[ $# -gt 0 ] || mapfile -t files < <(git ls-files 'index/*.cpp' 'pipelines/*.cpp' 'gateway/*.cpp' 'tools/*.cpp')
printf '%s\n' "${files[@]}" |
  xargs -P 2 -n 2 clang-tidy-14 -p "$build" --quiet 2>&1 | { grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header' || true; } |
  { if grep -E 'error:|warning:' ; then exit 1; fi; }
