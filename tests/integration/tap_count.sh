#!/usr/bin/env bash
# tests/lib/tap.awk counts what test programs print: every test once, and no failure lost, however they end.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

counter=$(cd "$(dirname "${BASH_SOURCE[0]}")/../lib" && pwd)/tap.awk

# counts STATUS EXPECTED: standard input is what the program printed; EXPECTED the first line, or all of it.
counts() {
    local got
    got=$(awk -v status="$1" -f "$counter")
    echo "$got"
    [ "$got" = "$2" ] || [ "$(head -n 1 <<<"$got")" = "$2" ]
}
program() { # NAME STATUS EXPECTED OUTPUT
    check "$1" counts "$2" "$3" <<<"$4"
}

program "passes, failures and skips are told apart" 1 $'1 1 1\nb' $'1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no npm'
program "cmocka's way of skipping is a skip" 0 '1 0 1' $'1..2\nok 1 - a\nnot ok 2 # SKIP b'
program "groups add up" 0 '3 0 0' $'1..2\nok 1 - a\nok 2 - b\n# ok - g1\n1..1\nok 1 - c\n# ok - g2'
program "the plan may come last" 0 '1 0 0' $'ok 1 - a\n1..1'
program "a program may have no plan" 0 '1 0 0' $'ok 1 - a'
program "a whole program may be skipped" 0 '0 0 1' $'1..0 # SKIP no Redis'
program "what is printed in between does not count" 0 '1 0 0' $'1..1\nokay\n  ok 7 - of somebody else\nnotok\nok 1 - a'
program "a crash is a failure" 134 $'1 1 0\nended with status 134 after 1 of 3 tests' $'1..3\nok 1 - a'
program "an early exit(0) is a failure" 0 $'1 1 0\nended with status 0 after 1 of 3 tests' $'1..3\nok 1 - a'
program "an error after the last test is a failure" 1 $'1 1 0\nended with status 1, though no test failed' $'1..1\nok 1 - a'
program "a time-out is a failure" 124 $'1 1 0\nran out of time after 1 of 2 tests' $'1..2\nok 1 - a'
program "silence is a failure" 0 $'0 1 0\nprinted no result' ''
program "a script that cannot start is a failure" 127 $'0 1 0\nended with status 127, though no test failed' 'not found'
program "a group whose setup failed is a failure" 1 $'1 2 0' $'1..2\nnot ok 0 - g1 [  FAILED  ] GROUP SETUP\n1..1\nok 1 - a'
program "a failed test is not counted again for the status" 1 $'1 1 0\nb' $'1..2\nok 1 - a\nnot ok 2 - b'
done_testing
