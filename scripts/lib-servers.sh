# shellcheck shell=bash
# The servers and daemons of one data folder: private PostgreSQL and Redis, gateways, workers.
# Sourced after lib.sh, by everything that brings up a Rookery: run, stop, test, bench.
#
#   DATA/postgres/   the cluster            DATA/log/   what each process prints
#   DATA/redis/      the append-only log    DATA/run/   pid files, sockets, the lock
#
#   1. data_open DATA          make the folders, take the lock, refuse a folder that is in use
#   2. postgres_start, redis_start         sets DATABASE_URL and REDIS_URL
#   3. daemons_start LISTEN GATEWAYS WORKERS
#   4. data_close              stop what runs there, in the order gateways, workers, Redis, PostgreSQL
#
# With REOPEN_LOGS=1 each process opens its log file by its name, and again when it is told to: lib-supervise.sh
# rotates them.
#
# Neither server opens a TCP port: they listen on Unix sockets in a folder that only their user may enter, which is
# why PostgreSQL may trust every connection. Each worker has a port on loopback, for its metrics.

POSTGRES_PRIVATE=/usr/local/lib/rookery/postgresql
BUILD=${BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$ROOT/$BUILD
LOCK_FD=''
# The maximum time that each may take to stop: a gateway or worker drains, a server writes its data.
DAEMON_STOP_S=30
SERVER_STOP_S=60
DAEMON_START_S=60

# --- the data folder --------------------------------------------------------------------------------------------
# data_open DATA: sets DATA to its full path and takes the lock, which goes when this script does.
data_open() {
    mkdir -p "$1" 2>/dev/null || die "cannot make the data folder $1"
    DATA=$(cd "$1" && pwd -P)
    if ! { mkdir -p "$DATA/run" && make_private_folder "$DATA/log"; } 2>/dev/null; then die "cannot write in $DATA"; fi
    exec {LOCK_FD}>"$DATA/run/lock"
    flock -n "$LOCK_FD" || die "something runs in $DATA already: $(command_for_shell stop) ends it"
    local running
    running=$(data_running "$DATA")
    [ -z "$running" ] || die "something runs in $DATA already, without scripts/run: $running; $(command_for_shell stop) ends it"
    sockets_open
}

# The free space below which PostgreSQL is about to fail.
DISK_LOW_MB=100
# Sets FREE_MB; false when that is low.
disk_has_room() {
    FREE_MB=$(df --output=avail -B1M "$DATA" | tail -n 1 | tr -d ' ')
    [ "$FREE_MB" -ge $DISK_LOW_MB ]
}

# A script's command for DATA, to be pasted into a shell that may stand anywhere.
command_for_shell() { # SCRIPT
    if [ "$PWD" = "$ROOT" ] && [ "$DATA" = "$ROOT/data" ]; then
        echo "scripts/$1"
    else
        printf '%q --data %q\n' "$ROOT/scripts/$1" "$DATA"
    fi
}

# Names what still runs in a data folder, by its pid files.
data_running() {
    local file names=()
    for file in "$1"/run/*.pid; do
        if pidfile_alive "$file"; then names+=("$(basename "$file" .pid)"); fi
    done
    echo "${names[*]}"
}

# A Unix socket's path has at most 107 bytes, and URLs hold it as it is: a data folder with a long or unusual
# path gets its sockets in a short folder of their own.
sockets_open() {
    local longest=$DATA/run/postgres/.s.PGSQL.5432.lock
    if [ ${#longest} -le 107 ] && [[ $DATA =~ ^[A-Za-z0-9/._-]+$ ]]; then
        SOCKETS=$DATA/run
    else
        SOCKETS=$(mktemp -d /tmp/rookery.XXXXXX)
        chmod 755 "$SOCKETS"
    fi
    printf '%s\n' "$SOCKETS" >"$DATA/run/sockets"
}

# stop_group SIGNAL SECONDS NAME...: all are asked first, so that they stop side by side.
stop_group() {
    local signal=$1 limit=$2 name pid
    shift 2
    for name in "$@"; do
        if pid=$(pidfile_pid "$DATA/run/$name.pid"); then kill -s "$signal" "$pid" 2>/dev/null || true; fi
    done
    for name in "$@"; do stop_process "$DATA/run/$name.pid" "$signal" "$limit"; done
}

# Names the pid files of DATA that match.
pidfile_names() {
    local file
    for file in "$DATA"/run/$1.pid; do [ ! -e "$file" ] || basename "$file" .pid; done
}

# data_close: stops everything in DATA. Safe to call at any time, and again, also in the trap of a signal that came while
# "IFS= read" was reading.
data_close() {
    local names sockets IFS=$' \t\n'
    mapfile -t names < <(pidfile_names 'gateway-*')
    stop_group TERM $DAEMON_STOP_S "${names[@]}"
    mapfile -t names < <(pidfile_names 'worker-*')
    stop_group TERM $DAEMON_STOP_S "${names[@]}"
    mapfile -t names < <(pidfile_names 'redis*')
    stop_group TERM $SERVER_STOP_S "${names[@]}"
    # INT is PostgreSQL's fast shutdown: sessions are ended, everything is written.
    stop_group INT $SERVER_STOP_S postgres
    if { read -r sockets <"$DATA/run/sockets"; } 2>/dev/null && [[ $sockets == /tmp/rookery.* ]]; then
        rm -rf "$sockets"
    fi
    rm -f "$DATA/run/sockets" "$DATA/run/env" "$DATA/run/metrics" "$DATA/run/supervised"
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------
# postgres_find [MAJOR]: prints the folder of the newest PostgreSQL's programs (of that major version): an
# installed package's before the one that setup unpacked.
postgres_find() {
    local version=${1:-*} place folder
    for place in /usr/lib/postgresql "$POSTGRES_PRIVATE/usr/lib/postgresql"; do
        # shellcheck disable=SC2086 # "*" is to match every version
        for folder in $(printf '%s\n' "$place"/$version/bin | sort -Vr); do
            if [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ] && [ -x "$folder/psql" ]; then
                echo "$folder"
                return 0
            fi
        done
    done
    return 1
}

# PostgreSQL refuses to run as root. Root's runs as the owner of the cluster, at first "postgres" when there is
# such a user and else "nobody". Sets POSTGRES_AS, the words to put before a command.
postgres_choose_user() {
    POSTGRES_AS=()
    local user=nobody owner=''
    [ ! -d "$DATA/postgres" ] || owner=$(stat -c %U "$DATA/postgres")
    if [ "$EUID" != 0 ]; then
        [ -z "$owner" ] || [ -O "$DATA/postgres" ] || die "$DATA/postgres belongs to $owner"
        return 0
    fi
    if [ -n "$owner" ]; then
        user=$owner
    elif id postgres >/dev/null 2>&1; then
        user=postgres
    fi
    [ "$user" != root ] || die "$DATA/postgres belongs to root, as whom PostgreSQL refuses to run"
    POSTGRES_USER=$user
    POSTGRES_AS=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
    "${POSTGRES_AS[@]}" test -x "$DATA" 2>/dev/null && return
    # The folder is below one that only root may enter, such as /root. Rather than open that to everybody, let this
    # one process pass it. Rookery's own database role is not a superuser and gains nothing by it.
    local capability
    for capability in dac_read_search dac_override; do
        local with=("${POSTGRES_AS[@]}" --inh-caps="+$capability" --ambient-caps="+$capability")
        if "${with[@]}" ls "$DATA" >/dev/null 2>&1; then
            POSTGRES_AS=("${with[@]}")
            return
        fi
    done
    die "PostgreSQL runs as the user $user, who may not enter $DATA: choose another folder with --data"
}

postgres_own() { [ "$EUID" != 0 ] || chown "$POSTGRES_USER:" "$1"; }

# Made beside its place and renamed, so that an interrupted one is not taken for a cluster.
postgres_create() {
    local new=$DATA/postgres.new
    progress "making the database cluster"
    rm -rf "$new"
    mkdir -m 700 "$new"
    postgres_own "$new"
    (cd / && "${POSTGRES_AS[@]}" "$POSTGRES_BIN/initdb" -D "$new" -A trust -U postgres --encoding=UTF8 \
        --locale=C.UTF-8) >>"$DATA/log/postgres.log" 2>&1 || {
        progress_done ''
        warn "initdb failed; the end of $DATA/log/postgres.log:"
        show_tail "$DATA/log/postgres.log" 20 >&2
        return 1
    }
    mv "$new" "$DATA/postgres"
    progress_done ''
}

postgres_psql() { # DATABASE ARGUMENTS...: as the cluster's superuser
    local database=$1
    shift
    PGOPTIONS='' "$POSTGRES_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$SOCKETS/postgres" -U postgres -d "$database" "$@"
}
postgres_answers() { [ "$(postgres_psql postgres -c 'select 1' 2>/dev/null)" = 1 ]; }

# The role that Rookery uses may make databases (its tests do) and is otherwise ordinary. Analysts' queries run as a
# role that may do nothing but what Rookery grants it.
postgres_create_database() { # NAME
    postgres_psql postgres >/dev/null <<SQL
select 'create role rookery login createdb' where not exists (select from pg_roles where rolname = 'rookery') \gexec
select 'create role rookery_analyst login connection limit 8'
    where not exists (select from pg_roles where rolname = 'rookery_analyst') \gexec
select 'create database "$1" owner rookery' where not exists (select from pg_database where datname = '$1') \gexec
SQL
}
postgres_url() { echo "postgresql:///$1?host=$SOCKETS/postgres&user=${2:-rookery}"; } # DATABASE [ROLE]

# Processes of DATA's cluster: each of PostgreSQL's has the cluster's folder as its working directory.
postgres_processes() {
    local link
    for link in /proc/[0-9]*/cwd; do
        [ "$(readlink "$link" 2>/dev/null)" != "$DATA/postgres" ] || cut -d/ -f3 <<<"$link"
    done
}
postgres_is_gone() { [ -z "$(postgres_processes)" ]; }

# After kill -9 of the postmaster: waits for the sessions it left (they notice, and end), ends those that do not,
# and lets PostgreSQL's own lock files say that it is gone. PostgreSQL takes a zombie for a living process, and in
# a container nobody may reap one. The file stays, because its other lines let PostgreSQL find out by itself
# whether the shared memory is still in use; with its starter's number in the first it is known to be stale.
postgres_after_crash() {
    local lock=$DATA/postgres/postmaster.pid pid rest
    { read -r pid <"$lock"; } 2>/dev/null || return 0
    ! process_start_time "$pid" >/dev/null || return 0
    if ! wait_until 10 postgres_is_gone; then
        # shellcheck disable=SC2046 # one word a process
        kill -s KILL $(postgres_processes) 2>/dev/null || true
        if ! wait_until 10 postgres_is_gone; then
            warn "processes of $DATA/postgres cannot be ended: $(postgres_processes)"
            return 1
        fi
    fi
    rest=$(tail -n +2 "$lock")
    printf '%s\n%s\n' $$ "$rest" >"$lock" # in place: it keeps its owner
    rm -f "$SOCKETS"/postgres/.s.PGSQL.*
}

# postgres_programs: sets POSTGRES_BIN, the folder of the programs that DATA's cluster needs.
postgres_programs() {
    local major=''
    [ ! -f "$DATA/postgres/PG_VERSION" ] || read -r major <"$DATA/postgres/PG_VERSION"
    POSTGRES_BIN=$(postgres_find "$major") || die "PostgreSQL $major is not installed: run scripts/setup"
}

# With REOPEN_LOGS PostgreSQL's logger writes the log, into a folder that its user may write; DATA/log leads there. Sets
# POSTGRES_LOG, the words for the server.
postgres_open_log() {
    local folder=$DATA/postgres/log link=$DATA/log/postgres.log
    POSTGRES_LOG=()
    [ -n "${REOPEN_LOGS:-}" ] || return 0
    [ -d "$folder" ] || mkdir -m 700 "$folder"
    [ ! -f "$link" ] || [ -L "$link" ] || mv "$link" "$link.1"
    ln -sfn "$folder/postgres.log" "$link"
    # What is said before the logger runs is appended by this shell's hand.
    (umask 077 && touch "$folder/postgres.log")
    postgres_own "$folder"
    postgres_own "$folder/postgres.log"
    POSTGRES_LOG=(-c logging_collector=on -c log_directory="$folder" -c log_filename=postgres.log -c log_rotation_age=0
        -c log_rotation_size=0)
}
postgres_reopen_log() { (cd / && "${POSTGRES_AS[@]}" "$POSTGRES_BIN/pg_ctl" -s -D "$DATA/postgres" logrotate); }

# postgres_launch: starts the server of DATA's cluster, which exists, and does not wait for it.
postgres_launch() {
    postgres_after_crash || return 1
    postgres_open_log
    # Sized for a small server that shares its machine; just-in-time compilation only slows short queries.
    cd /
    start_process "$DATA/run/postgres.pid" "$DATA/log/postgres.log" "${POSTGRES_AS[@]}" "$POSTGRES_BIN/postgres" \
        -D "$DATA/postgres" -c listen_addresses='' -c unix_socket_directories="$SOCKETS/postgres" \
        -c unix_socket_permissions=0700 -c max_connections=100 -c jit=off \
        -c shared_buffers="${POSTGRES_SHARED_BUFFERS:-256MB}" -c wal_compression=on -c max_wal_size=2GB \
        -c fsync="${POSTGRES_FSYNC:-on}" -c synchronous_commit=on -c timezone=UTC -c log_timezone=UTC \
        "${POSTGRES_LOG[@]}"
    cd "$OLDPWD" || die "cannot go back to $OLDPWD"
}

# postgres_start: brings DATA's PostgreSQL up, with the database "rookery" in it, and sets DATABASE_URL.
postgres_start() {
    postgres_programs
    postgres_choose_user
    [ -d "$DATA/postgres" ] || postgres_create || return 1
    make_private_folder "$SOCKETS/postgres"
    postgres_own "$SOCKETS/postgres"
    postgres_launch || return 1
    wait_ready PostgreSQL "$DATA/run/postgres.pid" "$DATA/log/postgres.log" 120 postgres_answers || return 1
    postgres_create_database rookery || return 1
    DATABASE_URL=$(postgres_url rookery)
    ANALYST_URL=$(postgres_url rookery rookery_analyst)
}

# --- Redis ------------------------------------------------------------------------------------------------------
# Debian's redis-tools holds the server under another name; it acts by the name it is called (see setup).
redis_find() {
    if ! command -v redis-server; then
        [ -x /usr/bin/redis-check-rdb ] || die "Redis is not installed: run scripts/setup"
        mkdir -p "$BUILD"
        ln -sfn /usr/bin/redis-check-rdb "$BUILD/redis-server"
        echo "$BUILD/redis-server"
    fi
}
redis_answers() { [ "$(redis-cli -s "$1" ping 2>/dev/null)" = PONG ]; }

# redis_launch NAME: starts one of DATA's Redis servers and does not wait for it.
redis_launch() {
    local name=$1 server
    server=$(redis_find) || return 1
    make_private_folder "$DATA/$name"
    start_process "$DATA/run/$name.pid" "$DATA/log/$name.log" "$server" --port 0 --unixsocket "$SOCKETS/$name.sock" \
        --unixsocketperm 700 --dir "$DATA/$name" --appendonly yes --appendfsync everysec --save '' \
        --daemonize no --maxmemory-policy noeviction ${REOPEN_LOGS:+--logfile "$DATA/log/$name.log"}
}

# redis_start NAME: brings up one of DATA's Redis servers and sets REDIS_URL.
redis_start() {
    local name=$1
    redis_launch "$name" || return 1
    wait_ready Redis "$DATA/run/$name.pid" "$DATA/log/$name.log" 120 redis_answers "$SOCKETS/$name.sock" || return 1
    REDIS_URL=unix://$SOCKETS/$name.sock
}

# --- for tests -------------------------------------------------------------------------------------------------
sanitizer_settings() {
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    # The leak checker stops the process with ptrace, which some containers forbid; it then says so, and fails.
    local probe leaks=1
    probe=$(mktemp)
    echo 'int main(void) { return 0; }' | gcc -fsanitize=address -x c - -o "$probe"
    ASAN_OPTIONS=detect_leaks=1 "$probe" 2>/dev/null || leaks=0
    rm -f "$probe"
    [ $leaks = 1 ] || warn "leaks are not looked for: ptrace is not permitted here"
    export ASAN_OPTIONS=detect_leaks=$leaks:strict_string_checks=1:detect_stack_use_after_return=0
}

# For tests that start servers of their own.
servers_in_path() {
    redis_find >/dev/null
    PATH=$PATH:$BUILD:$(postgres_find)
    export PATH
}

# --- the daemons ------------------------------------------------------------------------------------------------
# Sets DAEMON_ENV, the words that give a command the servers' addresses. The daemons refuse ROOKERY_* variables
# that they do not know, and those by which tests find this stack are such.
daemon_env() {
    DAEMON_ENV=(env -u ROOKERY_TEST_DATABASE_URL -u ROOKERY_TEST_REDIS_URL -u ROOKERY_TEST_STACK -u ROOKERY_BUILD
        -u ROOKERY_GATEWAY -u ROOKERY_SHARED
        DATABASE_URL="$DATABASE_URL" REDIS_URL="$REDIS_URL")
    [ -z "${ANALYST_URL:-}" ] || DAEMON_ENV+=(ROOKERY_ANALYST_URL="$ANALYST_URL")
}

# For other programs: ". DATA/run/env". Call it when the daemons are started. By ROOKERY_LISTEN the operator's commands
# find the gateway.
write_env() {
    (
        umask 077 # a given URL may hold a password
        {
            printf 'export DATABASE_URL=%q\nexport REDIS_URL=%q\n' "$DATABASE_URL" "$REDIS_URL"
            printf 'export GATEWAY=%q\nexport ROOKERY_LISTEN=%q\n' "$CLIENT_ADDRESS" "$CLIENT_ADDRESS"
            # psql, pg_dump and the like, which are not in everybody's PATH.
            # shellcheck disable=SC2016 # for the shell that reads it
            [ -z "${POSTGRES_BIN:-}" ] || printf 'export PATH="$PATH":%q\n' "$POSTGRES_BIN"
        } >"$DATA/run/env.new"
    )
    mv "$DATA/run/env.new" "$DATA/run/env"
}

migrate() {
    local output status=0
    daemon_env
    output=$("${DAEMON_ENV[@]}" "$BUILD/rookery-gateway" migrate 2>&1) || status=$?
    [ -z "$output" ] || printf '%s\n' "$output" >>"$DATA/log/migrate.log"
    [ $status != 0 ] || return 0
    warn "the database could not be brought up to date:"
    # shellcheck disable=SC2001 # each line
    sed 's/^/    /' <<<"$output" >&2
    return 1
}

daemon_start() { # NAME [VARIABLE=VALUE...] COMMAND...
    local name=$1
    shift
    daemon_env
    [ -z "${REOPEN_LOGS:-}" ] || DAEMON_ENV+=(ROOKERY_LOG_FILE="$DATA/log/$name.log")
    start_process "$DATA/run/$name.pid" "$DATA/log/$name.log" "${DAEMON_ENV[@]}" "$@"
}
daemon_wait() { # NAME COMMAND...
    local name=$1
    shift
    wait_ready "$name" "$DATA/run/$name.pid" "$DATA/log/$name.log" $DAEMON_START_S "$@"
}

gateway_start() { # NAME LISTEN
    daemon_start "$1" ROOKERY_LISTEN="$2" ROOKERY_METRICS_LISTEN=127.0.0.1:0 "$BUILD/rookery-gateway"
}
worker_start() { # NAME
    daemon_start "$1" ROOKERY_METRICS_LISTEN="${ROOKERY_METRICS_LISTEN:-127.0.0.1:0}" "$BUILD/rookery-worker"
}

# daemons_start LISTEN GATEWAYS WORKERS: several gateways share the address; each daemon's metrics have a port of loopback.
daemons_start() {
    local listen=$1 gateways=$2 workers=$3 i
    split_listen "$listen"
    for ((i = 1; i <= gateways; i++)); do gateway_start "gateway-$i" "$listen"; done
    for ((i = 1; i <= workers; i++)); do worker_start "worker-$i"; done
    for ((i = 1; i <= gateways; i++)); do
        daemon_wait "gateway-$i" http_is_ok "$LISTEN_HOST" "$LISTEN_PORT" /readyz || return 1
        daemon_wait "gateway-$i" gateway_answers "gateway-$i" "$LISTEN_PORT" || return 1
    done
    for ((i = 1; i <= workers; i++)); do
        daemon_wait "worker-$i" worker_answers "worker-$i" || return 1
    done
    write_metrics
}
gateway_answers() { # NAME PORT-OF-CLIENTS
    local at
    at=$(listening_port "$DATA/run/$1.pid" "$2") && http_is_ok 127.0.0.1 "$at" /readyz
}

# Where metrics are, an address a line: first the gateways', then the workers'. A port that the kernel chose is new at each
# start.
write_metrics() {
    local name at
    {
        {
            for name in $(pidfile_names 'gateway-*'); do
                if at=$(own_port_of_gateway "$name"); then echo "127.0.0.1:$at"; else echo "$CLIENT_ADDRESS"; fi
            done
        } | uniq
        for name in $(pidfile_names 'worker-*'); do
            if at=$(listening_port "$DATA/run/$name.pid"); then echo "127.0.0.1:$at"; fi
        done
    } >"$DATA/run/metrics.new" && mv "$DATA/run/metrics.new" "$DATA/run/metrics"
}
# The port beside the one for clients, which gateways share; false when it has none.
own_port_of_gateway() { listening_port "$DATA/run/$1.pid" "$LISTEN_PORT"; } # NAME
worker_answers() { # NAME
    local at
    at=$(listening_port "$DATA/run/$1.pid") && http_is_ok 127.0.0.1 "$at" /healthz
}

# listening_port PIDFILE [EXCEPT]: prints the TCP port on which that process listens, which is not EXCEPT; the kernel chose
# it, so the kernel knows.
listening_port() {
    local pid links address state inode
    pid=$(pidfile_pid "$1") && links=$(ls -l "/proc/$pid/fd" 2>/dev/null) || return 1
    while read -r _ address _ state _ _ _ _ _ inode _; do
        if [ "$state" = 0A ] && [[ $links == *"socket:[$inode]"* ]] && [ $((16#${address##*:})) != "${2:-}" ]; then
            echo $((16#${address##*:}))
            return 0
        fi
    done < <(cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null)
    return 1
}
