#!/usr/bin/env bash
# The example clients, as their opening comments say they are run, against the running gateway. (The one in Node with gRPC
# needs packages: tests/clients/example.js.)

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../examples" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the job must print.
"$ROOKERY_BUILD/rookery-worker" jobs fit "$examples/penguins.csv" --slice-by species --y flipper_length_mm \
    --x bill_length_mm >"$work/table"
# Without the stubs of other tests, which it does not need.
run() { (cd "$work" && timeout -k 10 240 env -u PYTHONPATH "$@") >"$work/out" 2>&1; }
in_order() { # PREFIX TEXT...: the lines with this prefix are these
    local prefix=$1
    shift
    diff <(printf '%s\n' "$@") <(sed -n "s/^$prefix: //p" "$work/out")
}
ends_with_table() { diff "$work/table" <(tail -n "$(wc -l <"$work/table")" "$work/out"); }

story() { # NAME COMMAND...
    local client=$1 greeting=$2
    shift 2
    check "$client: the client runs" run "$@"
    check "$client: what was posted while its stream was cut comes once, and in order" \
        diff <(printf '%s\n' "$greeting" "while away "{1..4}) <(sed -n 's/^\(live\|resumed\): //p' "$work/out")
    check "$client: at a reset it reads the timeline again, which has another person's posts" \
        in_order again "while away "{4,3,2,1} "$greeting" "An older post"
    check "$client: it reads page by page" in_order home "while away "{4,3,2,1} "$greeting" "An older post"
    check "$client: its job gives the command line's table" ends_with_table
    [ $TAP_FAILED = 0 ] || sed 's/^/# /' "$work/out"
}

story shell "Hello from the shell" "$examples/shell/client.sh" "http://$ROOKERY_GATEWAY"
story python "Hello by reflection" /usr/bin/python3 "$examples/python/client.py" "$ROOKERY_GATEWAY"
story browser "Hello from a browser" node "$examples/browser/node.mjs" "$ROOKERY_GATEWAY"

# The shell client's live() alone, which does not really pause.
shell_live() { # URL TOKEN
    # shellcheck disable=SC2016 # the shell that sources it
    timeout -k 10 60 bash -c '. "$1" "$2"; sleep() { :; }; : >"$WORK/live"; live "$3" "$WORK/live"' - \
        "$examples/shell/client.sh" "$@" 2>&1
}
check "shell: at a session that has ended it gives up, with the server's sentence" \
    says 'trying again does not help: .*"unauthenticated"' shell_live "http://$ROOKERY_GATEWAY" wrong
pauses() {
    diff <(printf '%s s\n' 0.1 0.2 0.4 0.8 1.6 3.2 6.4 10.0 10.0) \
        <(shell_live http://127.0.0.1:1 any | sed -u -n 's/.*connect.*again in //p' | head -n 9)
}
check "shell: where nobody answers its pauses grow up to a bound, and it says why" pauses
done_testing
