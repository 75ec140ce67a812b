#!/usr/bin/env bash
# scripts/run and scripts/stop as a person uses them: it comes up, keeps its data, refuses what it must, and
# leaves nothing behind, however it is ended.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

export BUILD=${ROOKERY_BUILD:-$ROOT/build} POSTGRES_SHARED_BUFFERS=32MB
# These belong to the tests' own stack; here scripts/run is to start its servers.
unset DATABASE_URL REDIS_URL ROOKERY_BUILD ROOKERY_GATEWAY ROOKERY_TEST_DATABASE_URL ROOKERY_TEST_REDIS_URL
unset ROOKERY_TEST_STACK

home=$(mktemp -d /tmp/rookery-run.XXXXXX)
chmod 755 "$home"
data=$home/data
port=$(free_port)
end() {
    [ ! -d "$data/run" ] || "$ROOT/scripts/stop" --data "$data" >/dev/null
    rm -rf "$home"
}
trap end EXIT
trap 'exit 1' INT TERM

# Every process that has the data folder in its command line (this grep has not).
processes() { grep -laz -f <(printf '%s\n' "$data") /proc/[0-9]*/cmdline 2>/dev/null; }
nothing_runs() { [ -z "$(cat "$data"/run/*.pid 2>/dev/null)" ] && [ -z "$(processes)" ]; }
query() {
    (
        # shellcheck disable=SC1091
        . "$data/run/env"
        psql_of "$DATABASE_URL" "$1"
    )
}
psql_of() {
    # shellcheck source=../../scripts/lib-servers.sh
    (. "$ROOT/scripts/lib-servers.sh" && "$(postgres_find)/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2")
}
run() { "$ROOT/scripts/run" --listen "127.0.0.1:$port" --data "$data" --workers 1 "$@"; }
stop() { "$ROOT/scripts/stop" --data "$data"; }
answers() { http_is_ok 127.0.0.1 "$port" "$1"; }

# From another folder than this script's, and with a data folder that is named from there.
run_elsewhere() {
    (cd "$home" && "$ROOT/scripts/run" --listen "127.0.0.1:$port" --data data --workers 1 --detach) | tee "$home/said"
}
check "run --detach returns when it is ready" run_elsewhere
check "/readyz answers" answers /readyz
check "/healthz answers" answers /healthz
every_metrics_page_answers() {
    local address
    [ "$(wc -l <"$data/run/metrics")" = 2 ] || return 1
    while IFS= read -r address; do http_is_ok "${address%:*}" "${address##*:}" /metrics || return 1; done <"$data/run/metrics"
}
check "run/metrics says where the gateway's and the worker's metrics are" every_metrics_page_answers
page_may_call() {
    curl -sS -i -X OPTIONS "http://127.0.0.1:$port/rookery.v1.PostService/CreatePost" -H 'Origin: http://localhost:5173' \
        -H 'Access-Control-Request-Method: POST' | grep -i '^access-control-allow-origin: http://localhost:5173'
}
check "a page of localhost may call it from a browser" page_may_call
check "the database can be reached as run/env says" query 'create table kept as select 42 as n'
check "a second run in the same folder is refused" says "something runs in $data already" run --detach
second() { "$ROOT/scripts/run" --listen "127.0.0.1:$port" --data "$home/other" --detach; }
check "a second run on the same port is refused" says "127.0.0.1:$port is taken" second
check "the first run is still there" answers /readyz
as_said() { (cd / && eval "$(sed -n "s/^$1: //p" "$home/said")"); } # WORDS-BEFORE-THE-COMMAND
check "the command it names for its state works in any folder" as_said 'To see how it is'
check "and so does the one that stops it" as_said 'To stop it'
check "nothing is left running" nothing_runs
check_not "the port is free again" answers /readyz
check "stop with nothing to stop is no error" stop

check "it starts again in the same folder" run --detach
check "its data was kept" [ "$(query 'select n from kept')" = 42 ]
kill_all() {
    local file pid
    for file in "$data"/run/*.pid; do if pid=$(pidfile_pid "$file"); then kill -s KILL "$pid"; fi; done
    wait_until 10 all_gone
}
all_gone() { [ -z "$(processes)" ]; }
check "every process is killed with SIGKILL" kill_all
check "it starts again after that" run --detach
check "its data was kept through that" [ "$(query 'select n from kept')" = 42 ]
check "stop ends it again" stop

# In the foreground, as from a terminal: SIGINT goes to run alone, which stops the rest in order.
env --default-signal=INT "$ROOT/scripts/run" --listen "127.0.0.1:$port" --data "$data" --workers 1 >"$home/out" 2>&1 &
foreground=$!
ready_line() { grep -q 'Rookery is ready' "$home/out"; }
check "run in the foreground says when it is ready" wait_until 60 ready_line
killed=$(pidfile_pid "$data/run/gateway-1.pid") worker=$(pidfile_pid "$data/run/worker-1.pid")
kill -s KILL "$killed"
started_again() {
    local now
    now=$(pidfile_pid "$data/run/gateway-1.pid") && [ "$now" != "$killed" ] && grep "gateway-1 is started again (pid $now)" "$home/out"
}
check "a daemon that dies is started again, and that is said" wait_until 60 started_again
check "and so is its death" grep "gateway-1 (pid $killed) was ended by SIGKILL" "$home/out"
check "clients find it again" wait_until 60 answers /readyz
check "the others live on" [ "$(pidfile_pid "$data/run/worker-1.pid")" = "$worker" ]
kill -s INT $foreground
wait $foreground
status=$?
check "Ctrl-C ends it without an error" [ $status = 0 ]
check "nothing is left running after Ctrl-C" nothing_runs

check "a port out of range is refused" says 'must be a number' "$ROOT/scripts/run" --listen 127.0.0.1:70000
check "an unknown option is refused" says 'unknown option --daemon' "$ROOT/scripts/run" --daemon
check "an option without its value is refused" says 'needs a value' "$ROOT/scripts/run" --data
check "stop in a folder that is none says so" says 'not a data folder' "$ROOT/scripts/stop" --data "$home/none"

check "a host's name is refused before anything starts" says 'must be numeric' "$ROOT/scripts/run" --listen localhost:8080

# A folder whose path is too long for a Unix socket's name; and IPv6, where the machine has it.
data=$home/$(printf 'long-%.0s' {1..30})
address=127.0.0.1:$port
[ ! -s /proc/net/if_inet6 ] || address="[::1]:$port"
check "a data folder with a long path works" run --listen "$address" --detach
check "and its database is reached" [ "$(query 'select 1')" = 1 ]
finds_gateway() {
    # shellcheck disable=SC1091,SC2031 # run/env, and BUILD is that of above
    (. "$data/run/env" && [ "$GATEWAY" = "$address" ] && "$BUILD/rookery-gateway" health)
}
check "and its gateway, as run/env says" finds_gateway
check "and stops" stop
check "and leaves nothing" nothing_runs
done_testing
