#!/usr/bin/env bash
# Builds by clang 14 with ASan, UBSan and libFuzzer: tests/fuzz/build.sh BUILD [TARGET...]
# Without targets all of it: programs, tests and fuzzers.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/fuzz/build.sh BUILD [TARGET...]}
shift
[ -f "$build/build.ninja" ] || CC=clang-14 CXX=clang++-14 meson setup "$build" -Dfuzz=true \
  -Dfast_clean_build=true -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -k 0 -C "$build" "$@"
