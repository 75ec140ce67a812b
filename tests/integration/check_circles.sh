#!/usr/bin/env bash
# scripts/check-circles: the objects of this checkout have no circle, and one that is planted is shown.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/core/base" "$tree/gateway"

# compile FILE TEXT
compile() { echo "$2" | gcc -xc -c -o "$tree/$1.o" -; }

found() { "$root/scripts/check-circles" "$tree"; }
shows() { # TEXT...
    local output text
    output=$(found) && return 1
    echo "$output"
    for text; do grep -qF "$text" <<<"$output" || return 1; done
}

cd "$root" || exit
check "this checkout has none" scripts/check-circles "${ROOKERY_BUILD:-build}"

compile core/base/low 'int low(void) { return 1; }'
compile core/base/high 'int low(void); int high(void) { return low(); }'
compile gateway/main 'int high(void); int main(void) { return high(); }'
check "what is built on another is no circle" found

compile core/base/low 'int apart(void); int low(void) { return apart(); }'
compile gateway/apart 'int high(void); int apart(void) { return high(); }'
check "a circle of three is shown, with what closes it" shows "a circle of 3:" \
    "core/base/low.o uses gateway/apart.o: apart" "gateway/apart.o uses core/base/high.o: high"

compile gateway/apart 'extern int variable; int apart(void) { return variable; }'
compile core/base/low 'int apart(void); int variable; int low(void) { return apart(); }'
check "a variable closes one too" shows "a circle of 2:" "gateway/apart.o uses core/base/low.o: variable"

rm -rf "$tree/core" "$tree/gateway"
fails() { ! "$@"; }
check "nothing to look at is not a success" fails scripts/check-circles "$tree"
done_testing
