# shellcheck shell=bash
# The service's part of B7, called by it: what a job costs beyond its computation, and what a
# second worker brings. A small job is mostly queueing: an event, one step, an answer. For several larger concurrent
# ones each worker is bound to a core of its own, so that one worker does not use both.

jobs_service_start() { # WORKERS
    local i workers=()
    bench_start 1 0
    for ((i = 1; i <= $1; i++)); do
        workers+=("worker-$i")
        daemon_start "worker-$i" ROOKERY_METRICS_LISTEN=127.0.0.1:0 taskset -c $((i - 1)) "$BUILD/rookery-worker"
    done
    for i in "${workers[@]}"; do daemon_wait "$i" worker_answers "$i"; done
}

# In a subshell: a data folder is one process's.
jobs_service_measure() ( # WORKERS ARGUMENTS...
    # shellcheck disable=SC2034 # bench_start reads it
    SECTION=B7-$1-$2
    trap data_close EXIT
    jobs_service_start "$1" >&2
    shift
    /usr/bin/python3 scripts/bench.d/jobs_service.py "$@"
)

jobs_service() {
    local slices one two
    slices=$(bench_size 4000 400)
    python_stubs
    bench_limit 'a job of three slices, end to end' ms "$(jobs_service_measure 1 quick "$(bench_size 200 20)")" at-most 20
    [ "$(nproc)" -ge 2 ] || return 0
    one=$(jobs_service_measure 1 many 4 "$slices")
    two=$(jobs_service_measure 2 many 4 "$slices")
    bench_ratio 'four concurrent jobs, two workers' rows/s "$two" "$one" 'one worker' at-least 1.3
}
