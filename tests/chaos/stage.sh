#!/usr/bin/env bash
# stage: the servers of a chaos run, held by one process that does as it is told.
#
#   tests/chaos/stage.sh DATA PORT...     one gateway on each port, two workers, PostgreSQL and Redis
#
# Reads commands from standard input, one a line, and answers each with a line "ok" or "failed REASON":
#
#   start NAME    bring up postgres, redis, gateway-N or worker-N, and wait until it is ready
#   kill NAME     kill -9, and wait until it is gone
#   wipe          throw Redis's data away (while it is down)
#   stop NAME     ask it to stop, and wait until it has
#   alive NAME    fails when it does not run
#   pause NAME    kill -STOP;  go-on NAME  kill -CONT
#   copy          keep a copy of Redis's data as it is on disk now
#   restore       put that copy in place of Redis's data (while it is down)
#
# At the end of its input, or when it is asked to stop, it stops everything.

# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
# shellcheck source=../../scripts/lib-servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib-servers.sh"

WORKERS=2
# So small that among a thousand accounts some are delivered in chunks, and some become pulled on the way.
export ROOKERY_CHUNK_AUDIENCE=50 ROOKERY_PULL_AUDIENCE=120

start() {
    local number=${1##*-}
    case $1 in
    postgres) postgres_start ;;
    redis) redis_start redis ;;
    gateway-*)
        local listen=127.0.0.1:${PORTS[number - 1]}
        split_listen "$listen"
        daemon_start "$1" ROOKERY_LISTEN="$listen" "$BUILD/rookery-gateway"
        daemon_wait "$1" http_is_ok "$LISTEN_HOST" "$LISTEN_PORT" /readyz
        ;;
    worker-*) daemon_start "$1" "$BUILD/rookery-worker" ;;
    *) echo "there is no $1 to start" >&2 && return 1 ;;
    esac
}

signal() { # SIGNAL NAME
    local pid
    pid=$(pidfile_pid "$DATA/run/$2.pid") || {
        echo "$2 did not run any more" >&2
        return 1
    }
    kill -s "$1" "$pid"
}
kill_now() { signal KILL "$1" && wait_until 20 pidfile_dead "$DATA/run/$1.pid"; }

wipe() { rm -rf "$DATA/redis" && make_private_folder "$DATA/redis"; }
copy() { rm -rf "$DATA/redis.copy" && cp -a "$DATA/redis" "$DATA/redis.copy"; }
restore() { rm -rf "$DATA/redis" && cp -a "$DATA/redis.copy" "$DATA/redis"; }

# Each command's functions return what became of them: "set -e" does not hold where a status is asked for.
obey() { # COMMAND [NAME]
    case $1 in
    start) start "$2" ;;
    kill) kill_now "$2" ;;
    stop) signal TERM "$2" && wait_until $DAEMON_STOP_S pidfile_dead "$DATA/run/$2.pid" ;;
    alive) signal 0 "$2" ;;
    pause) signal STOP "$2" ;;
    go-on) signal CONT "$2" ;;
    wipe | copy | restore) "$1" ;;
    *) echo "unknown command $1" >&2 && return 1 ;;
    esac
}

answer() {
    local status=0
    obey "$@" 2>>"$DATA/log/stage.log" >>"$DATA/log/stage.log" || status=$?
    if [ $status = 0 ]; then echo ok; else echo "failed $(tail -n 1 "$DATA/log/stage.log")"; fi
}

start_everything() {
    postgres_start
    redis_start redis
    migrate
    local i
    for ((i = 1; i <= ${#PORTS[@]}; i++)); do start "gateway-$i"; done
    for ((i = 1; i <= WORKERS; i++)); do start "worker-$i"; done
    write_env
}

main() {
    data_open "$1"
    shift
    PORTS=("$@")
    trap data_close EXIT
    trap 'exit 0' INT TERM HUP
    start_everything >>"$DATA/log/stage.log" 2>&1
    echo ok
    local words
    while read -r -a words; do answer "${words[@]}"; done
}
main "$@"
