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
    check "$client: it reads page by page" in_order home "while away "{4,3,2,1} "$greeting"
    check "$client: its job gives the command line's table" ends_with_table
    [ $TAP_FAILED = 0 ] || sed 's/^/# /' "$work/out"
}

story shell "Hello from the shell" "$examples/shell/client.sh" "http://$ROOKERY_GATEWAY"
story python "Hello by reflection" /usr/bin/python3 "$examples/python/client.py" "$ROOKERY_GATEWAY"
story browser "Hello from a browser" node "$examples/browser/node.mjs" "$ROOKERY_GATEWAY"
done_testing
