#!/usr/bin/env bash
# scripts/check-words: this checkout has no idiom of the glossary's table, and one that is planted is shown.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
file=$(mktemp --suffix .c)
trap 'rm -f "$file"' EXIT

found() { printf '%s\n' "$@" >"$file" && scripts/check-words "$file" 2>&1; }
shows() { # TEXT LINE...
    local text=$1 output
    shift
    output=$(found "$@") && return 1
    echo "$output"
    grep -qF "$text" <<<"$output"
}

cd "$root" || exit
check "this checkout has none" scripts/check-words

check "an idiom is shown with its file, its line and the word that is meant" \
    shows "$file:2: \"for good\": permanently" 'int a;' '/* Deletes it for good. */'
check "also one that a comment breaks over two lines, at the first" \
    shows "$file:3: \"once more\": again" 'int a;' '' '/* It is sent once' ' * more. */'
check "and one that a string breaks" shows "$file:1: \"at once\": immediately" 'puts("Ends at "' '     "once");'
check "any word may stand for X" shows "$file:1: \"is no reply\": is not an X" '/* A post that is no reply. */'

check "plain words pass" found '/* It is deleted permanently; there is no' ' * reply; it is no longer than a line. */'
check "so does a line that must quote one" found '/* Not "anew". check-words: quoted */'

# The glossary with another row for a word that has one.
shows_doubled() {
    local tree output
    tree=$(mktemp -d)
    mkdir "$tree/scripts" "$tree/docs"
    cp scripts/check-words "$tree/scripts/"
    sed 's/^| hub | .*/&\n| hub | the middle of a wheel |/' docs/glossary.md >"$tree/docs/glossary.md"
    output=$(cd "$tree" && scripts/check-words docs/glossary.md 2>&1)
    rm -rf "$tree"
    echo "$output"
    grep -q '^docs/glossary.md:[0-9]*: "hub" has a row already' <<<"$output"
}
check "a word with two rows in the glossary is shown" shows_doubled

helps() { scripts/check-words --help | grep -F "usage: scripts/check-words"; }
check "--help says how it is called" helps
done_testing
