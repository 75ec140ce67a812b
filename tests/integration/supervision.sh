#!/usr/bin/env bash
# What scripts/run does with a process that dies, what scripts/status says of it, and that logs are rotated.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

export BUILD=${ROOKERY_BUILD:-$ROOT/build} POSTGRES_SHARED_BUFFERS=32MB
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

run() { "$ROOT/scripts/run" --listen "127.0.0.1:$port" --data "$data" --workers 1 --detach; }
stop() { "$ROOT/scripts/stop" --data "$data"; }
status() { "$ROOT/scripts/status" --data "$data"; }
all_is_well() { status >"$home/status"; }
pid_of() { pidfile_pid "$data/run/$1.pid"; }
# shows PROCESS STATE [RESTARTS]
shows() {
    status >"$home/status"
    cat "$home/status"
    awk -v name="$1" -v state="$2" -v restarts="${3:-}" '
        $1 == name && index($0, state) && (restarts == "" || $0 ~ (" " restarts " +[/0-9]")) { found = 1 }
        END { exit !found }' "$home/status"
}
said() { grep -q -- "$1" "$data"/log/run.log* || { cat "$data"/log/run.log* && false; }; }
kill_one() { kill -s KILL "$(pid_of "$1")"; }

check "status in a folder that is none says so" says 'not a data folder' "$ROOT/scripts/status" --data "$home/none"
export RESTART_LIMIT=3 LOG_BYTES=2000 LOG_KEEP=20 LOG_CHECK_S=1
check "it runs" run
for process in postgres redis gateway-1 worker-1; do
    check "status says that $process is ready" shows $process ready 0
done
check "and that all is well" all_is_well

# Each is killed; what dies is started again, and the same for the next.
is_another() { # PROCESS PID
    local now
    now=$(pid_of "$1") && [ "$now" != "$2" ]
}
for victim in worker-1 gateway-1 redis postgres; do
    old=$(pid_of $victim)
    kill_one $victim
    check "$victim is started again after SIGKILL" wait_until 60 is_another $victim "$old"
    check "and all is well again" wait_until 60 all_is_well
    check "status counts it" shows $victim ready 1
    check "it is said, with its pid and the signal" said "$victim (pid $old) was ended by SIGKILL"
done
check_not "the shell's own words are not" grep -hw 'Killed' "$data"/log/run.log*
metrics_are_found() {
    local address
    [ "$(wc -l <"$data/run/metrics")" = 2 ] || return 1
    while IFS= read -r address; do http_is_ok "${address%:*}" "${address##*:}" /healthz || return 1; done <"$data/run/metrics"
}
check "run/metrics has the new worker's address" wait_until 30 metrics_are_found

# Twice more, and it is given up.
for i in 2 3; do
    wait_until 60 pid_of worker-1 >/dev/null
    kill_one worker-1
    wait_until 30 pidfile_dead "$data/run/worker-1.pid"
done
check "what dies too often is given up" wait_until 60 shows worker-1 'given up'
check "with a sentence" said 'worker-1 has died 3 times in 600 s and is not started again'
check "the others go on" shows gateway-1 ready
check_not "all is not well then" all_is_well

# The limit for logs is so low that all of them have been rotated by now, or are soon.
psql_of() {
    # shellcheck source=../../scripts/lib-servers.sh disable=SC1091
    (. "$data/run/env" && . "$ROOT/scripts/lib-servers.sh" && "$(postgres_find)/psql" -X -q -A -t -d "$DATABASE_URL" -c "$1")
}
fill_logs() {
    local i
    for ((i = 0; i < 30; i++)); do psql_of "select 'mark $i' / 0" 2>/dev/null; done
    kill -s HUP "$(pid_of gateway-1)"
    [ $i = 30 ]
}
check "PostgreSQL's log is filled" fill_logs
check "and is rotated" wait_until 30 [ -e "$data/postgres/log/postgres.log.1" ]
lines_are_whole() { # every statement is there once
    local i
    for ((i = 0; i < 30; i++)); do
        [ "$(cat "$data"/postgres/log/postgres.log* | grep -c "STATEMENT:  select 'mark $i' / 0")" = 1 ] || return 1
    done
}
check "no line is lost, and none comes twice" wait_until 30 lines_are_whole
opened_again() { grep -qh 'log file opened again' "$data"/log/gateway-1.log*; }
check "a daemon opens its log again when it is asked to" wait_until 30 opened_again

# A disk that is nearly full, as df tells it.
mkdir "$home/bin"
printf '#!/bin/sh\nprintf "Avail\\n 42\\n"\n' >"$home/bin/df"
chmod +x "$home/bin/df"
# shellcheck disable=SC2031 # env alone has another
full_path=$home/bin:$PATH
says_free() { says '42 MB are free' env PATH="$full_path" "$ROOT/scripts/status" --data "$data"; }
refused_disk() {
    says 'only 42 MB are free in .*free some more, or choose another folder' env PATH="$full_path" \
        "$ROOT/scripts/run" --listen "127.0.0.1:$other" --data "$home/full" --detach
}
other=$(free_port)
check "status says how much of the disk is free" says_free
check "a run on a disk that is nearly full is refused" refused_disk

# Without a supervisor.
kill -s KILL "$(pid_of run)"
wait_until 30 pidfile_dead "$data/run/run.pid"
says_unsupervised() { shows gateway-1 ready && grep -q 'nobody supervises them' "$home/status"; }
check "when scripts/run is killed, status says that nobody supervises" says_unsupervised
check "stop ends what it left" stop
nothing_runs() {
    status
    [ $? = 3 ]
}
check "then status says that nothing runs" nothing_runs

# --- servers that cannot be reached ---
addresses="DATABASE_URL=postgresql:///rookery?host=$data/run/postgres&user=rookery"
check "the addresses of its own servers are recognised" says 'Use another shell, or: unset DATABASE_URL REDIS_URL' \
    env "$addresses" REDIS_URL="unix://$data/run/redis.sock" "$ROOT/scripts/run" --data "$data" --detach
# It fails with one sentence, beside those of its end: no line of a log is shown.
names_redis() { # ADDRESS WHY
    local said
    if said=$(REDIS_URL=redis://$1 run 2>&1); then return 1; fi
    diff <(echo "run: Redis cannot be reached at $1 ($2): is REDIS_URL right?") <(grep -v '^run: stopp' <<<"$said")
}
check "a Redis that cannot be reached is named, with its variable" names_redis "127.0.0.1:$(free_port)" 'connection refused'
coproc silent {
    exec python3 -c 'import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()'
}
# shellcheck disable=SC2154 # of coproc
read -r silent_port <&"${silent[0]}"
check "so is one that takes connections and never answers" names_redis "127.0.0.1:$silent_port" 'connecting took too long'
# shellcheck disable=SC2154
kill "$silent_PID"
done_testing
