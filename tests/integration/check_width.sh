#!/usr/bin/env bash
# scripts/check-width: no line of C in this checkout is too wide, and one that is planted is shown.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
file=$(mktemp --suffix .c)
trap 'rm -f "$file"' EXIT

# A comment of N letters, with 6 characters around them.
comment() { # N LETTER
    printf 'int a;\n/* %s */\n' "$(printf "%$1s" '' | sed "s/ /$2/g")" >"$file"
}
passes() { comment "$@" && scripts/check-width "$file"; }
shows() { # TEXT N LETTER
    local text=$1
    shift
    comment "$@" && says "$text" scripts/check-width "$file"
}

cd "$root" || exit
check "this checkout has none" scripts/check-width
check "a line of 120 characters passes" passes 114 x
check "also when they are more bytes" passes 114 ö
check "one of 121 is shown with its place" shows "$file:2: 121 characters, where 120 are the most" 115 x
check "make lint asks for it" grep -qF "scripts/check-width" Makefile

# --wrap breaks what is too wide, and joins it with nothing but its own paragraph.
wraps() {
    local words='four four four four four four four four four four four four four four four four four four four four four five'
    cat >"$file" <<TEXT
/* $words seven by seven
 * the rest.
 *
 *   1. $words seven
 *      seven.
 *   2. short
 * $words eight by eight */
    /* $words nine */
TEXT
    scripts/check-width --wrap "$file" || return
    diff "$file" - <<TEXT
/* $words seven
 * by seven the rest.
 *
 *   1. $words
 *      seven seven.
 *   2. short
 * $words eight
 * by eight */
    /* $words
     * nine */
TEXT
}

helps() { scripts/check-width --help | grep -F "usage: scripts/check-width"; }
check "--wrap breaks what is too wide, within its paragraph" wraps
check "--help says how it is called" helps
done_testing
