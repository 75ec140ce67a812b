# shellcheck shell=bash
# B6: live streams that are cut and resumed concurrently. Sourced by scripts/bench.

# B6: a gateway has died, and its streams come to this one with their tokens, all together, after others have posted for some
# seconds. Each is back when it has been sent what it missed, and its heartbeat. The limit is ours: there is nothing to
# compare with. Readers of home timelines go on meanwhile: what it costs them is beside what they have without it.
bench_B6() {
    local streams seconds alone beside out busy
    streams=$(bench_size 10000 2000) seconds=$(bench_size 5 2)
    gateway_world "$streams" 50 10000
    head -n 200 "$WORK/tokens" >"$WORK/readers"
    alone=$("$BUILD/rpcbench" home "$GATEWAY" "$WORK/readers" 2 1 "$seconds")
    bench_note "home timelines alone: $alone"
    busy=$(gateway_busy_ms)
    out=$("$BUILD/rpcbench" resume "$GATEWAY" "$WORK/tokens" "$streams" 50 "
        '$BUILD/rpcbench' post '$GATEWAY' '$WORK/readers' 2 1 $seconds &&
        { '$BUILD/rpcbench' home '$GATEWAY' '$WORK/readers' 2 1 $seconds >'$WORK/beside' & }")
    bench_note "$out"
    wait_for_file "$WORK/beside"
    beside=$(cat "$WORK/beside")
    bench_note "the gateway was busy for $(($(gateway_busy_ms) - busy)) ms of processor time, posts included"
    bench_note "home timelines meanwhile: $beside"
    bench_limit "$streams streams are back" s "$(sed -n 's/ s until.*//p' <<<"$out" | tail -n 1)" at-most 20
    bench_limit 'of them told to read again' '' "$(sed -n 's/.*items, \([0-9]*\) resets.*/\1/p' <<<"$out")" at-most 0
    bench_ratio 'home timelines meanwhile, p99' us "$(p99_of "$beside")" "$(p99_of "$alone")" 'without streams' at-most 2
}

# Of the processor, user and system.
gateway_busy_ms() {
    awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' \
        "/proc/$(pidfile_pid "$DATA/run/gateway-1.pid")/stat"
}

p99_of() { sed -n 's/.*p99 \([0-9]*\) us.*/\1/p' <<<"$1"; }

wait_for_file() {
    local end=$((SECONDS + 60))
    while [ ! -s "$1" ] && [ $SECONDS -lt $end ]; do sleep 0.2; done
}
