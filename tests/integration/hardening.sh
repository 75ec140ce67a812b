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

# Members of the libraries without the marks for indirect branch tracking and the shadow stack. (The daemons have them only
# where the C library's own start files do.)
unmarked() {
    readelf -nW "$build"/lib{core,gateway,workers}.a 2>/dev/null | awk '
        function done() { if (file != "" && !marked) print file; marked = 0 }
        /^File: / { done(); file = $2; n++ }
        /IBT, SHSTK/ { marked = 1 }
        END { done(); if (!n) print "there are no objects" }'
}
are_marked() {
    local found
    found=$(unmarked)
    echo "$found"
    [ -z "$found" ]
}
# The objects for which the last word about _FORTIFY_SOURCE is not that it is on.
unchecked() {
    local none
    none=$(mktemp -d)
    env -u MAKEFLAGS -u MAKELEVEL -u SANITIZE -u FUZZ make -n -C "$root" BUILD="$none/build" daemons 2>/dev/null | awk '
        / -c -o / {
            last = object = ""
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^-[UD]_FORTIFY_SOURCE/) last = $i
                if ($i == "-o") object = $(i + 1)
            }
            if (last != "-D_FORTIFY_SOURCE=2") print object
            n++
        }
        END { if (n < 100) print "only " n " objects" }' | sed "s,^$none/build/,,"
    rm -rf "$none"
}
only_the_fiber_is_unchecked() {
    local found
    found=$(unchecked)
    echo "$found"
    [ "$found" = core/async/fiber.o ]
}

for daemon in rookery-gateway rookery-worker; do
    check "$daemon has no fixed place in memory" says "$build/$daemon" -h 'DYN (Position-Independent'
    check "$daemon's addresses of functions cannot be overwritten" says "$build/$daemon" -d 'BIND_NOW\|Flags: NOW'
    check "nor is the table of them writable after the start" says "$build/$daemon" -l GNU_RELRO
    check "$daemon's stack cannot be executed" bash -c "! readelf -W -l '$build/$daemon' | grep -q 'GNU_STACK.* RWE'"
    if readelf -W --dyn-syms "$build/$daemon" | grep -q __asan_init; then continue; fi
    check "$daemon's stack is watched" says "$build/$daemon" --dyn-syms __stack_chk_fail
    check "$daemon's copies are checked" says "$build/$daemon" --dyn-syms '__memcpy_chk\|__snprintf_chk\|__vsnprintf_chk'
done
if says "$build/rookery-gateway" -h 'Machine: .*X86-64'; then
    check "every object says that jumps and returns may be watched" are_marked
else
    skip "every object says that jumps and returns may be watched" "this is for x86-64"
fi
check "copies are checked in every object but the one that switches stacks" only_the_fiber_is_unchecked
done_testing
