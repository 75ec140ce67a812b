#!/usr/bin/env bash
# README's first session, word by word, against the running gateway, and its jobs without a server: a newcomer's first minutes
# must be true. Only the address and the two handles are others here, since the gateway is shared with other tests; and the
# folder in which jobs write.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

readme=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/README.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tail=$$_$RANDOM

# The shell blocks of a section, as one script.
section() { # TITLE
    awk -v title="## $1" '/^## /{ inside = index($0, title) == 1 } /^```/{ shell = inside && $0 == "```sh"; next } shell' "$readme"
}
section "A first session" | sed "s/127\.0\.0\.1:8080/$ROOKERY_GATEWAY/; s/\bada\b/ada_$tail/g; s/\bgrace\b/grace_$tail/g" >"$work/session.sh"

answers() { # NUMBER-OF-COMMAND-FROM-THE-END TEXT
    local line
    line=$(tail -n "$1" "$work/out" | head -n 1)
    echo "$line"
    [[ $line == *"$2"* ]]
}
set -o pipefail
check "README has a session" [ "$(grep -c '^api ' "$work/session.sh")" -ge 5 ]
run() { timeout -k 10 240 bash -eu "$work/session.sh" 2>&1 | tee "$work/out"; }
check "it runs without an error" run
check "grace follows ada" answers 5 '{}'
check "ada's post is made" answers 4 '"hashtags":'
check "and is in grace's timeline" answers 3 "Hello, @grace_$tail! #first"
check "the next one comes live" answers 1 'Hello again, live'
check_not "nothing is refused" grep '"code":' "$work/out"

section "A model per slice" | sed "s,build/rookery-worker,$ROOKERY_BUILD/rookery-worker,; s,examples/,${readme%/*}/examples/," >"$work/jobs.sh"
check "README has jobs" [ "$(grep -c '^jobs ' "$work/jobs.sh")" -ge 5 ]
jobs() { (cd "$work" && bash -euo pipefail "$work/jobs.sh" >"$work/jobs.out"); }
check "they run without an error" jobs
fitted() { grep -q '^Adelie,ok,.*,bill_length_mm,' "$work/jobs.out"; }
check "a slope is found for each species" fitted
check "what was fitted in parts is the same as what was fitted at once" \
    [ "$(grep -c '^Adelie,ok,.*,bill_length_mm,' "$work/jobs.out")" = 2 ]
done_testing
