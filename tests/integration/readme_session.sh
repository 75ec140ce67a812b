#!/usr/bin/env bash
# README's first session, word by word, against the running gateway: a newcomer's first minutes must be true. Only
# the address and the two handles are others here, since the gateway is shared with other tests.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

readme=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/README.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tail=$$_$RANDOM

# The shell blocks of the section, as one script.
session() {
    awk '/^## /{ inside = /^## A first session/ } /^```/{ shell = inside && $0 == "```sh"; next } shell' "$readme"
}
session | sed "s/127\.0\.0\.1:8080/$ROOKERY_GATEWAY/; s/\bada\b/ada_$tail/g; s/\bgrace\b/grace_$tail/g" >"$work/session.sh"

answers() { # NUMBER-OF-COMMAND-FROM-THE-END TEXT
    local line
    line=$(tail -n "$1" "$work/out" | head -n 1)
    echo "$line"
    [[ $line == *"$2"* ]]
}
set -o pipefail
check "README has a session" [ "$(grep -c '^api ' "$work/session.sh")" -ge 5 ]
run() { bash -eu "$work/session.sh" 2>&1 | tee "$work/out"; }
check "it runs without an error" run
check "grace follows ada" answers 3 '{}'
check "ada's post is made" answers 2 '"hashtags":'
check "and is in grace's timeline" answers 1 "Hello, @grace_$tail! #first"
check_not "nothing is refused" grep '"code":' "$work/out"
done_testing
