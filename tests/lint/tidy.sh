#!/usr/bin/env bash
# clang-tidy 14 over our own sources, from a clang build folder: tests/lint/tidy.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/lint/tidy.sh BUILD}
git ls-files 'index/*.cpp' 'pipelines/*.cpp' 'gateway/*.cpp' 'tools/*.cpp' |
  xargs -P 2 -n 4 clang-tidy-14 -p "$build" --quiet 2>&1 | { grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header' || true; } |
  { if grep -E 'error:|warning:' ; then exit 1; fi; }
