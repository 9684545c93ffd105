#!/usr/bin/env bash
# Every C++ file is formatted by clang-format 14 with the root .clang-format.
set -euo pipefail
cd "$(dirname "$0")/../.."
git ls-files '*.cpp' '*.hpp' | xargs clang-format-14 --dry-run --Werror
