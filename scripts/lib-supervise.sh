# shellcheck shell=bash
# Supervision: what scripts/run does with the processes of a data folder once they are ready. Sourced after
# lib-servers.sh.
#
# 1. A process that dies is started again after a pause: RESTART_FIRST_S, then twice as long each time, RESTART_PAUSE_S
#    at most. After RESTART_STABLE_S of life the first pause is the shortest again. Each death and each start is said.
# 2. One that has died RESTART_LIMIT times within RESTART_WINDOW_S is given up, with a sentence. The others go on: a
#    gateway serves without workers, and work waits for them.
# 3. A log that is larger than LOG_BYTES is renamed to NAME.log.1, and those before to .2 and so on, LOG_KEEP of them.
#    Its process then opens a new one (SIGHUP for the daemons, pg_ctl for PostgreSQL; Redis opens it for every line), and
#    until it does it writes to the renamed one: no line is lost.
# 4. A disk that is nearly full is said, once.
#
# DATA/run/supervised says what is known of each process, for scripts/status: a line "NAME STATE RESTARTS SINCE", STATE
# being running, waiting (until SINCE) or given-up, SINCE in seconds of the epoch.

RESTART_FIRST_S=${RESTART_FIRST_S:-1}
RESTART_PAUSE_S=${RESTART_PAUSE_S:-30}
RESTART_STABLE_S=${RESTART_STABLE_S:-60}
RESTART_LIMIT=${RESTART_LIMIT:-10}
RESTART_WINDOW_S=${RESTART_WINDOW_S:-600}
LOG_BYTES=${LOG_BYTES:-67108864}
LOG_KEEP=${LOG_KEEP:-5}
LOG_CHECK_S=${LOG_CHECK_S:-10}

# What is supervised, by name. PID_OF has "PID START", as pid files do.
SUPERVISED=()
declare -A PID_OF=() STATE_OF=() SINCE_OF=() RESTARTS_OF=() PAUSE_OF=() DEATHS_OF=()
METRICS_UNTIL=0

# --- one process ------------------------------------------------------------------------------------------------
supervise() { # NAME: it runs, started by this shell
    SUPERVISED+=("$1")
    RESTARTS_OF[$1]=0 DEATHS_OF[$1]='' PAUSE_OF[$1]=$RESTART_FIRST_S
    note_running "$1"
}
note_running() { # NAME
    read -r "PID_OF[$1]" <"$DATA/run/$1.pid"
    STATE_OF[$1]=running SINCE_OF[$1]=$EPOCHSECONDS
}

# Asked every second of every process: without a subshell.
is_running() { # NAME
    local pid=${PID_OF[$1]% *} start=${PID_OF[$1]#* } stat
    { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ "${20}" = "$start" ] && [ "$1" != Z ] && [ "$1" != X ]
}

# Sets HOW_ENDED, of a child of this shell.
how_it_ended() { # NAME
    local status=0
    wait "${PID_OF[$1]% *}" 2>/dev/null || status=$?
    HOW_ENDED="ended with status $status"
    if [ $status -gt 128 ] && HOW_ENDED=$(kill -l $((status - 128)) 2>/dev/null); then
        HOW_ENDED="was ended by SIG$HOW_ENDED"
    fi
}

# Sets N_DEATHS, with this one, of those that are still counted.
count_death() { # NAME
    local at kept=''
    N_DEATHS=1
    for at in ${DEATHS_OF[$1]}; do
        [ $((EPOCHSECONDS - at)) -lt "$RESTART_WINDOW_S" ] || continue
        kept+="$at " N_DEATHS=$((N_DEATHS + 1))
    done
    DEATHS_OF[$1]=$kept$EPOCHSECONDS
}

died() { # NAME
    local name=$1
    how_it_ended "$name"
    count_death "$name"
    warn "$name (pid ${PID_OF[$name]% *}) $HOW_ENDED; the end of $DATA/log/$name.log:"
    show_tail "$DATA/log/$name.log" 5 >&2
    [ $((EPOCHSECONDS - SINCE_OF[$name])) -lt "$RESTART_STABLE_S" ] || PAUSE_OF[$name]=$RESTART_FIRST_S
    if [ $N_DEATHS -ge "$RESTART_LIMIT" ]; then
        give_up "$name"
    else
        wait_before_restart "$name"
    fi
}

wait_before_restart() { # NAME
    local pause=${PAUSE_OF[$1]}
    warn "$1 is started again in $pause s"
    STATE_OF[$1]=waiting SINCE_OF[$1]=$((EPOCHSECONDS + pause))
    PAUSE_OF[$1]=$((pause * 2 < RESTART_PAUSE_S ? pause * 2 : RESTART_PAUSE_S))
}

give_up() { # NAME
    STATE_OF[$1]=given-up SINCE_OF[$1]=$EPOCHSECONDS
    warn "$1 has died $N_DEATHS times in $RESTART_WINDOW_S s and is not started again; the others go on. When the cause is" \
        "mended: $(command_for_shell stop), and scripts/run again"
}

launch() { # NAME: starts it, and does not wait for it
    case $1 in
    postgres) postgres_launch ;;
    redis) redis_launch redis ;;
    gateway-*) gateway_start "$1" "$LISTEN" ;;
    worker-*) worker_start "$1" ;;
    esac
}

start_again() { # NAME
    RESTARTS_OF[$1]=$((RESTARTS_OF[$1] + 1))
    if launch "$1"; then
        note_running "$1"
        say "$1 is started again (pid ${PID_OF[$1]% *})"
        METRICS_UNTIL=$((SECONDS + DAEMON_START_S))
    else
        SINCE_OF[$1]=$EPOCHSECONDS
        count_death "$1"
        if [ $N_DEATHS -ge "$RESTART_LIMIT" ]; then give_up "$1"; else wait_before_restart "$1"; fi
    fi
}

look_after() { # NAME: true when something has changed
    case ${STATE_OF[$1]} in
    running)
        is_running "$1" && return 1
        died "$1"
        ;;
    waiting)
        [ $EPOCHSECONDS -ge "${SINCE_OF[$1]}" ] || return 1
        start_again "$1"
        ;;
    *) return 1 ;;
    esac
}

# --- what others may know ---------------------------------------------------------------------------------------
write_supervised() {
    local name
    for name in "${SUPERVISED[@]}"; do
        echo "$name ${STATE_OF[$name]} ${RESTARTS_OF[$name]} ${SINCE_OF[$name]}"
    done >"$DATA/run/supervised.new"
    mv "$DATA/run/supervised.new" "$DATA/run/supervised"
}

# A daemon that was started again has another port for its metrics, once it listens.
note_new_ports() { [ $SECONDS -ge $METRICS_UNTIL ] || write_metrics; }

# --- logs -------------------------------------------------------------------------------------------------------
rotate_log() { # FILE
    local name i
    name=$(basename "$1" .log)
    set -- "$(readlink -f "$1")"
    for ((i = LOG_KEEP; i > 1; i--)); do [ ! -e "$1.$((i - 1))" ] || mv "$1.$((i - 1))" "$1.$i"; done
    mv "$1" "$1.1"
    case $name in
    gateway-* | worker-*) [ "${STATE_OF[$name]:-}" != running ] || kill -s HUP "${PID_OF[$name]% *}" 2>/dev/null || true ;;
    postgres) postgres_reopen_log || true ;;
    run) if [ "$DETACHED" = 1 ]; then exec >>"$1" 2>&1; fi ;;
    esac
}
rotate_logs() {
    local file
    while IFS= read -r file; do rotate_log "$file"; done < \
        <(find -L "$DATA/log" -maxdepth 1 -name '*.log' -size "+${LOG_BYTES}c" 2>/dev/null)
}

# --- the disk -----------------------------------------------------------------------------------------------------
DISK_SAID=0
look_at_disk() {
    if disk_has_room; then
        DISK_SAID=0
    elif [ $DISK_SAID = 0 ]; then
        DISK_SAID=1
        warn "only $FREE_MB MB are free in $DATA: PostgreSQL takes no writes when there are none"
    fi
}

# --- the loop ---------------------------------------------------------------------------------------------------
# supervise_all: until a signal comes, whose trap ends this script.
supervise_all() {
    local name changed next_logs=0
    SUPERVISED=()
    while IFS= read -r name; do supervise "$name"; done < <(pidfile_names '*' | grep -vx run)
    # Without the shell's own word on a child that a signal ended: it has been said in ours.
    # shellcheck disable=SC2173 # not to catch it
    trap : KILL SEGV ABRT BUS FPE ILL SYS
    write_supervised
    while :; do
        changed=0
        for name in "${SUPERVISED[@]}"; do if look_after "$name"; then changed=1; fi; done
        [ $changed = 0 ] || write_supervised
        note_new_ports
        if [ $SECONDS -ge $next_logs ]; then
            rotate_logs
            look_at_disk
            next_logs=$((SECONDS + LOG_CHECK_S))
        fi
        # In the background, because a trap waits for the command in front.
        sleep 1 {LOCK_FD}>&- &
        SLEEP=$!
        wait $SLEEP || true
    done
}
