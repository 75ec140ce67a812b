# shellcheck shell=bash
# What every script here shares: messages, progress, processes and their pid files, ports, the build.
# Sourced, never run. lib-servers.sh adds the servers and daemons on top of this.
#
# A process started here is known by a pid file NAME.pid that holds "PID START": the start time from /proc/PID/stat,
# so that a process to which the kernel has given the number later is not mistaken for ours and not killed.

set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
JOBS=${JOBS:-$(nproc)}
# The name messages begin with.
ME=${0##*/}

say() { printf '%s: %s\n' "$ME" "$*"; }
warn() { printf '%s: %s\n' "$ME" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# A script's help is its opening comment: written once, shown by --help.
show_help() { sed -n '2,${/^#/!q; s/^# \{0,1\}//; p}' "$1"; }

# need_value OPTION COUNT: dies when OPTION was the last word.
need_value() { [ "$2" -ge 2 ] || die "$1 needs a value (see --help)"; }
need_number() { # OPTION VALUE LOWEST HIGHEST
    if ! [[ $2 =~ ^[0-9]{1,9}$ ]] || [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
        die "$1 must be a number from $3 to $4, not '$2'"
    fi
}

# --- progress ---------------------------------------------------------------------------------------------------
# On a terminal one line that is rewritten; elsewhere (a log) only what progress_done leaves.
progress() { # LABEL [DONE TOTAL]
    [ -t 1 ] || return 0
    if [ $# -ge 3 ]; then
        printf '\r\033[K%s: %s  %d of %d' "$ME" "$1" "$2" "$3"
    else
        printf '\r\033[K%s: %s' "$ME" "$1"
    fi
}
progress_done() { # TEXT: replaces the line
    [ -t 1 ] && printf '\r\033[K'
    [ -z "${1:-}" ] || say "$1"
}

make_private_folder() { mkdir -p "$1" && chmod 700 "$1"; }

# --- waiting ----------------------------------------------------------------------------------------------------
# wait_until SECONDS COMMAND...: true as soon as COMMAND is; false when the time is over.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# --- processes --------------------------------------------------------------------------------------------------
# Prints a live process's start time; false for one that is gone or is a zombie.
process_start_time() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The command's name, in parentheses, may hold anything: what follows the last one is plain.
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ "$1" != Z ] && [ "$1" != X ] && echo "${20}"
}

# Prints the pid in FILE if that process still lives.
pidfile_pid() {
    local pid start now
    { read -r pid start <"$1"; } 2>/dev/null || return 1
    now=$(process_start_time "$pid") && [ "$now" = "$start" ] && echo "$pid"
}
pidfile_alive() { pidfile_pid "$1" >/dev/null; }
pidfile_dead() { ! pidfile_alive "$1"; }

# pidfile_write FILE PID
pidfile_write() {
    local start
    start=$(process_start_time "$2") || start=gone
    printf '%s %s\n' "$2" "$start" >"$1.new" && mv "$1.new" "$1"
}

# start_process PIDFILE LOG COMMAND...: in the background and in a session of its own, so that Ctrl-C reaches
# only the script, which then stops everything in the right order. The pid is that of COMMAND.
start_process() {
    local pidfile=$1 log=$2
    shift 2
    if [ -n "${LOCK_FD:-}" ]; then
        setsid "$@" </dev/null >>"$log" 2>&1 {LOCK_FD}>&- &
    else
        setsid "$@" </dev/null >>"$log" 2>&1 &
    fi
    pidfile_write "$pidfile" $!
}

# stop_process PIDFILE SIGNAL SECONDS: asks with SIGNAL, insists with KILL when the time is over.
stop_process() {
    local pidfile=$1 signal=$2 limit=$3 pid
    if pid=$(pidfile_pid "$pidfile"); then
        kill -s "$signal" "$pid" 2>/dev/null || true
        if ! wait_until "$limit" pidfile_dead "$pidfile"; then
            warn "$(basename "$pidfile" .pid) (pid $pid) did not stop within $limit s after SIG$signal: killed"
            kill -s KILL "$pid" 2>/dev/null || true
            wait_until 10 pidfile_dead "$pidfile" || warn "pid $pid cannot be killed"
        fi
    fi
    rm -f "$pidfile"
}

# wait_ready NAME PIDFILE LOG SECONDS COMMAND...: waits for COMMAND; false, with the log's end shown, when the
# process dies first or the time is over.
wait_ready() {
    local name=$1 pidfile=$2 log=$3 limit=$4 end problem
    shift 4
    end=$((SECONDS + limit))
    while :; do
        if pidfile_dead "$pidfile"; then problem="stopped while starting" && break; fi
        if "$@"; then return 0; fi
        if [ $SECONDS -ge $end ]; then problem="was not ready after $limit s" && break; fi
        sleep 0.05
    done
    warn "$name $problem; the end of $log:"
    show_tail "$log" 20 >&2
    return 1
}

show_tail() { tail -n "$2" "$1" 2>/dev/null | sed 's/^/    /'; }

# --- ports ------------------------------------------------------------------------------------------------------
# split_listen ADDR:PORT: sets LISTEN_HOST and LISTEN_PORT, where a client on this machine finds it, and CLIENT_ADDRESS,
# the two as one writes them.
# shellcheck disable=SC2034
split_listen() {
    LISTEN_HOST=${1%:*} LISTEN_PORT=${1##*:}
    LISTEN_HOST=${LISTEN_HOST#[} LISTEN_HOST=${LISTEN_HOST%]}
    [[ $1 == *:* ]] || die "'$1' is not ADDR:PORT"
    # As the gateway will have it: better said now than after the servers have started.
    [[ $1 =~ ^([0-9]+(\.[0-9]+){3}|\[[0-9a-fA-F:.]+\]):[^:]*$ ]] ||
        die "the address in '$1' must be numeric, such as 127.0.0.1 or [::1] (0.0.0.0 and [::]: every one there is)"
    need_number "the port in $1" "$LISTEN_PORT" 1 65535
    case $LISTEN_HOST in 0.0.0.0) LISTEN_HOST=127.0.0.1 ;; ::) LISTEN_HOST=::1 ;; esac
    CLIENT_ADDRESS=$LISTEN_HOST:$LISTEN_PORT
    [[ $LISTEN_HOST != *:* ]] || CLIENT_ADDRESS=[$LISTEN_HOST]:$LISTEN_PORT
}

# Several gateways share a port (SO_REUSEPORT), so the kernel would not refuse a second Rookery on it: ask first.
port_is_taken() { (: <>"/dev/tcp/$1/$2") 2>/dev/null; }

# A TCP port of loopback that nobody listens on, below the range from which the kernel picks ports for clients.
free_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        port_is_taken 127.0.0.1 "$port" || break
    done
    echo "$port"
}

# http_status HOST PORT PATH: prints the status number; false without an answer in 5 s. Needs no curl.
http_status() {
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf 'GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n' "$3" "$1" "$2" >&3
        read -r -t 5 _ status _ <&3
        echo "$status"
    ) 2>/dev/null
}
http_is_ok() { [ "$(http_status "$@")" = 200 ]; }

# --- the build --------------------------------------------------------------------------------------------------
# build LABEL MAKE-ARGUMENTS...: make, showing how many of the files that need compiling are done. On failure
# the compiler's words are printed and the status is false.
build() {
    local label=$1 total count=0 log line
    shift
    # As make itself would spell it: the same folder under two names would be two sets of dependencies.
    set -- BUILD="${BUILD#"$ROOT"/}" "$@"
    total=$(make -C "$ROOT" -n "$@" 2>/dev/null | grep -c -- ' -c -o ' || true)
    log=$(mktemp)
    progress "$label" 0 "$total"
    if make -C "$ROOT" -j"$JOBS" "$@" 2>&1 | while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in *' -c -o '*) progress "$label" $((count += 1)) "$total" ;; esac
    done; then
        rm -f "$log"
        if [ "$total" -gt 0 ]; then progress_done "$label: $total files compiled"; else progress_done ''; fi
        return 0
    fi
    progress_done ''
    warn "$label failed:"
    # Commands are long and say little; what the compiler answered is everything else.
    grep -v -- ' -o ' "$log" | tail -n 60 >&2
    rm -f "$log"
    return 1
}

# Python clients' stubs, from our .proto files, into the build folder. (Not of proto/grpc: its modules would lie in the
# way of the grpc package's.)
python_stubs() {
    local out=$BUILD/python
    mkdir -p "$out"
    (cd "$ROOT/proto" && find rookery -name '*.proto' -print0 | xargs -0 protoc -I. -I/usr/include \
        --python_out="$out" --grpc_out="$out" --plugin=protoc-gen-grpc="$(command -v grpc_python_plugin)")
    export PYTHONPATH=$out${PYTHONPATH:+:$PYTHONPATH}
}
