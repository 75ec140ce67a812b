#!/usr/bin/env bash
# Each fuzz target runs its seeds and thousands of mutations of them, the same every time (tests/fuzz/replay.c).

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${ROOKERY_BUILD:-$root/build}
for source in "$root"/tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    check "$name keeps its promises on hostile input" "$build/tests/fuzz/$name"
done
done_testing
