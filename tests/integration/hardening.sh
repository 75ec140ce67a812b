#!/usr/bin/env bash
# The daemons are built to make an attacker's work hard; each word is what readelf says of it.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/${ROOKERY_BUILD:-build}
[[ ${ROOKERY_BUILD:-build} != /* ]] || build=$ROOKERY_BUILD

says() { # FILE OPTION WORD
    readelf -W "$2" "$1" | grep -q -- "$3"
}

for daemon in rookery-gateway rookery-worker; do
    check "$daemon has no fixed place in memory" says "$build/$daemon" -h 'DYN (Position-Independent'
    check "$daemon's addresses of functions cannot be overwritten" says "$build/$daemon" -d 'BIND_NOW\|Flags: NOW'
    check "$daemon's stack cannot be executed" bash -c "! readelf -W -l '$build/$daemon' | grep -q 'GNU_STACK.* RWE'"
    if readelf -W --dyn-syms "$build/$daemon" | grep -q __asan_init; then continue; fi
    check "$daemon's stack is watched" says "$build/$daemon" --dyn-syms __stack_chk_fail
    check "$daemon's copies are checked" says "$build/$daemon" --dyn-syms '__memcpy_chk\|__snprintf_chk\|__vsnprintf_chk'
done
done_testing
