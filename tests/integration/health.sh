#!/usr/bin/env bash
# The health commands against running daemons: well, hung, gone, without Redis. Containers and Kubernetes ask with them.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

# shellcheck disable=SC1091
. "$ROOKERY_TEST_STACK/run/env"
gateway=$ROOKERY_GATEWAY build=$ROOKERY_BUILD
# The daemons refuse variables that are the tests'.
unset ROOKERY_GATEWAY ROOKERY_BUILD ROOKERY_TEST_STACK ROOKERY_TEST_DATABASE_URL ROOKERY_TEST_REDIS_URL

work=$(mktemp -d)
address=127.0.0.1:$(free_port)
end() {
    kill -s CONT "$worker" 2>/dev/null
    stop_process "$work/worker.pid" TERM 30
    stop_process "$work/gateway.pid" KILL 10
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

says() { # STATUS TEXT COMMAND...
    local expected=$1 text=$2 output status
    shift 2
    output=$("$@" 2>&1)
    status=$?
    echo "status $status: $output"
    [ $status = "$expected" ] && [[ $output == *"$text"* ]]
}
gateway_health() { ROOKERY_LISTEN=$gateway "$build/rookery-gateway" health "$@"; }
worker_health() { ROOKERY_METRICS_LISTEN=$address "$build/rookery-worker" health "$@"; }

check "a gateway that serves is well" says 0 "$gateway is serving" gateway_health
check "another address can be asked" says 1 'nobody answers at 127.0.0.1:1' gateway_health 127.0.0.1:1
check "a word too many is a usage error" says 2 Usage gateway_health a b
check "so is an address that is none" says 2 'not an address' gateway_health here

check "a worker that is not there is not well" says 1 "nobody answers at $address" worker_health
# A role that takes no events from the stack's workers.
start_process "$work/worker.pid" "$work/log" env ROOKERY_ROLES=relay ROOKERY_METRICS_LISTEN="$address" "$build/rookery-worker"
worker=$(pidfile_pid "$work/worker.pid")
check "a worker becomes well" wait_until 60 worker_health
kill -s STOP "$worker"
check "a worker that hangs is not well" says 1 'does not answer' worker_health
kill -s CONT "$worker"
check "and is well when it goes on" wait_until 60 worker_health
check "without ROOKERY_METRICS_LISTEN there is nobody to ask" says 2 'set ROOKERY_METRICS_LISTEN' \
    "$build/rookery-worker" health

check "a role that does not exist stops a worker" says 2 'there is no role "fan-out"; roles are all, relay, fanout' \
    env ROOKERY_ROLES=relay,fan-out "$build/rookery-worker"
check "a worker that cannot listen stops, with a sentence" says 1 'start failed' \
    timeout 60 env ROOKERY_METRICS_LISTEN=192.0.2.1:9 "$build/rookery-worker"
check "a command that does not exist is named" says 2 'there is no command "serve"' "$build/rookery-gateway" serve
check "so is a word too many" says 2 'migrate takes nothing more, not "now"' "$build/rookery-gateway" migrate now
check "every command answers --help" says 0 Usage "$build/rookery-gateway" migrate --help

for program in gateway worker; do
    check "rookery-$program --version is its name and the version" \
        [ "$("$build/rookery-$program" --version)" = "rookery-$program $(cat "$ROOT/VERSION")" ]
done

check "the servers are asked whether they can be used" says 0 'PostgreSQL and Redis can be used' "$build/rookery-gateway" check
nobody=127.0.0.1:$(free_port)
check "a Redis that cannot be reached is named, with its address and its variable" says 1 \
    "rookery-gateway: Redis cannot be reached at $nobody (connection refused): is REDIS_URL right?" \
    env REDIS_URL="redis://$nobody" "$build/rookery-gateway" check
check "a log file that cannot be opened is named, with its variable" says 1 'ROOKERY_LOG_FILE: /proc/none cannot be opened' \
    env ROOKERY_LOG_FILE=/proc/none ROOKERY_ROLES=relay "$build/rookery-worker"

# Nobody listens where its Redis should be.
alone=127.0.0.1:$(free_port)
start_process "$work/gateway.pid" "$work/log" env REDIS_URL="redis://$nobody" ROOKERY_LISTEN="$alone" \
    ROOKERY_LOG_FILE="$work/log.of.gateway" "$build/rookery-gateway"
check "a gateway without Redis becomes well: writes can be committed" wait_until 60 gateway_health "$alone"
check "its log names the variable and the address" \
    grep -q "Redis cannot be reached: is REDIS_URL right.*\"server\":\"$nobody\"" "$work/log.of.gateway"
pid=$(pidfile_pid "$work/gateway.pid")
mv "$work/log.of.gateway" "$work/log.of.gateway.1"
kill -s HUP "$pid"
check "SIGHUP makes it open its log file again" wait_until 30 grep -qs 'log file opened again' "$work/log.of.gateway"
kill -s TERM "$pid"
check "it stops when it is asked to" wait_until 30 pidfile_dead "$work/gateway.pid"
pidfile_dead "$work/gateway.pid" || kill -s KILL "$pid"
wait "$pid"
check "without an error" [ $? = 0 ]
done_testing
