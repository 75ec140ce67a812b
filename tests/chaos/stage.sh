#!/usr/bin/env bash
# stage: the servers of a chaos run, held by one process that does as it is told.
#
#   tests/chaos/stage.sh DATA PORT...     one gateway on each port, two workers, PostgreSQL and Redis
#
# With PREVIOUS, the folder of another release's programs, there are two releases: "new" is the build folder's, "old" is
# the other. Then the old one makes the database, and all daemons are of the old one at first.
#
# Reads commands from standard input, one a line, and answers each with a line "ok" or "failed REASON":
#
#   start NAME    bring up postgres, redis, redis-b, gateway-N or worker-N, and wait until it is ready (not workers)
#   kill NAME     kill -9, and wait until it is gone
#   end NAME      the same, where it runs at all
#   stop NAME     ask it to stop, and wait until it has; fails when its exit status is another than 0
#   alive NAME    fails when it does not run
#   pause NAME    kill -STOP;  go-on NAME  kill -CONT
#
#   release NAME old   or new: of which release NAME is when it is started next
#   migrate old        or new: bring the database up to date with that release's program
#   await NAME         wait until a worker with ROOKERY_METRICS_LISTEN answers there
#
#   wipe          throw Redis's data away (while it is down)
#   copy          keep a copy of Redis's data as it is on disk now
#   restore       put that copy in place of Redis's data (while it is down)
#   clone         give redis-b a copy of Redis's data;  clear  give it none (while it is down)
#
#   backup        keep a physical copy of PostgreSQL's data
#   put-back HOW  put it in place of the data (while PostgreSQL is down). HOW: copy, or promoted, which ends in a new
#                 timeline of PostgreSQL's
#   dump          keep a dump of the database;  load-dump  load it as a second database
#   swap-database that one takes the place of the first, all of whose sessions end
#
# A process is started with the settings in DATA/run/NAME.settings, a line VARIABLE=VALUE each, where there is one.
# At the end of its input, or when it is asked to stop, it stops everything.

# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
# shellcheck source=../../scripts/lib-servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib-servers.sh"

WORKERS=2
declare -A PROGRAMS=([new]=$BUILD [old]=${PREVIOUS:-}) RELEASE_OF=()
FIRST_RELEASE=new
[ -z "${PREVIOUS:-}" ] || FIRST_RELEASE=old
# So small that among a thousand accounts some are delivered in chunks, and some become pulled on the way.
export ROOKERY_CHUNK_AUDIENCE=50 ROOKERY_PULL_AUDIENCE=120
# Accounts are made while the run goes on.
export ROOKERY_PASSWORD_MEMORY_KIB=8192 ROOKERY_PASSWORD_PASSES=1

# settings_of NAME: sets SETTINGS.
settings_of() {
    SETTINGS=()
    [ ! -e "$DATA/run/$1.settings" ] || mapfile -t SETTINGS <"$DATA/run/$1.settings"
}

# programs_of NAME: prints the folder with its release's programs.
programs_of() { echo "${PROGRAMS[${RELEASE_OF[$1]:-$FIRST_RELEASE}]}"; }

# For the server's sake its environment is also that of what starts it.
start_redis() { # NAME
    local own=${REDIS_URL:-}
    settings_of "$1"
    [ ${#SETTINGS[@]} = 0 ] || local -x "${SETTINGS[@]}"
    redis_start "$1" || return 1
    [ -z "$own" ] || REDIS_URL=$own
}

start_gateway() { # NAME
    local listen=127.0.0.1:${PORTS[${1##*-} - 1]}
    split_listen "$listen"
    daemon_start "$1" ROOKERY_LISTEN="$listen" "${SETTINGS[@]}" "$(programs_of "$1")/rookery-gateway"
    daemon_wait "$1" http_is_ok "$LISTEN_HOST" "$LISTEN_PORT" /readyz
}

start() {
    settings_of "$1"
    case $1 in
    postgres) postgres_start ;;
    redis | redis-b) start_redis "$1" ;;
    gateway-*) start_gateway "$1" ;;
    worker-*) daemon_start "$1" "${SETTINGS[@]}" "$(programs_of "$1")/rookery-worker" ;;
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
migrate_with() { BUILD=${PROGRAMS[$1]} migrate; } # RELEASE
kill_now() { signal KILL "$1" && wait_until 20 pidfile_dead "$DATA/run/$1.pid"; }
# It is a child of this shell, which therefore knows its status: 143 of a worker that had only just been started, and did
# not attend to signals yet.
stop_politely() { # NAME
    local pid status=0
    pid=$(pidfile_pid "$DATA/run/$1.pid") || true
    signal TERM "$1" && wait_until $DAEMON_STOP_S pidfile_dead "$DATA/run/$1.pid" || return 1
    wait "$pid" || status=$?
    [ $status = 0 ] || [ $status = 143 ] || {
        echo "$1, asked to stop, ended with status $status" >&2
        return 1
    }
}

wipe() { rm -rf "$DATA/redis" && make_private_folder "$DATA/redis"; }
copy() { rm -rf "$DATA/redis.copy" && cp -a "$DATA/redis" "$DATA/redis.copy"; }
restore() { rm -rf "$DATA/redis" && cp -a "$DATA/redis.copy" "$DATA/redis"; }

clone() { clear_redis_b && cp -a "$DATA/redis" "$DATA/redis-b"; }
clear_redis_b() { rm -rf "$DATA/redis-b"; }

# As the cluster's user: the files must be theirs. Nothing of it needs to outlive the machine.
backup() {
    rm -rf "$DATA/postgres.copy"
    mkdir -m 700 "$DATA/postgres.copy" && postgres_own "$DATA/postgres.copy" || return 1
    (cd / && "${POSTGRES_AS[@]}" "$POSTGRES_BIN/pg_basebackup" -h "$SOCKETS/postgres" -U postgres \
        -D "$DATA/postgres.copy" --checkpoint=fast --wal-method=stream --no-sync --no-manifest)
}
put_back() { # HOW
    rm -rf "$DATA/postgres" && mv "$DATA/postgres.copy" "$DATA/postgres" || return 1
    [ "$1" = promoted ] || return 0
    touch "$DATA/postgres/recovery.signal" && postgres_own "$DATA/postgres/recovery.signal" || return 1
    # There is no archive: what is in the copy is all there is.
    echo "restore_command = 'false'" >>"$DATA/postgres/postgresql.auto.conf"
}

dump() { "$POSTGRES_BIN/pg_dump" -h "$SOCKETS/postgres" -U postgres -Fc -Z 0 -f "$DATA/rookery.dump" rookery; }
load_dump() {
    postgres_psql postgres -c 'drop database if exists rookery_restored' &&
        postgres_create_database rookery_restored &&
        "$POSTGRES_BIN/pg_restore" -h "$SOCKETS/postgres" -U postgres -d rookery_restored "$DATA/rookery.dump"
}
swap_database() {
    postgres_psql postgres <<SQL
alter database rookery allow_connections false;
select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'rookery';
select pg_sleep(0.1);
drop database rookery with (force);
alter database rookery_restored rename to rookery;
SQL
}

# Each command's functions return what became of them: "set -e" does not hold where a status is asked for.
obey() { # COMMAND [NAME [RELEASE]]
    case $1 in
    start) start "$2" ;;
    kill) kill_now "$2" ;;
    end) pidfile_dead "$DATA/run/$2.pid" || kill_now "$2" ;;
    stop) stop_politely "$2" ;;
    alive) signal 0 "$2" ;;
    pause) signal STOP "$2" ;;
    go-on) signal CONT "$2" ;;
    release) RELEASE_OF[$2]=$3 ;;
    migrate) migrate_with "$2" ;;
    await) daemon_wait "$2" worker_answers "$2" ;;
    wipe | copy | restore | clone | backup | dump) "$1" ;;
    clear) clear_redis_b ;;
    put-back) put_back "$2" ;;
    load-dump) load_dump ;;
    swap-database) swap_database ;;
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
    start redis
    migrate_with "$FIRST_RELEASE"
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
