# shellcheck shell=bash
# B1 and B2: from an event on a stream to the home timelines. fanbench (tests/load/fanbench) puts the events there
# and waits until the workers have acknowledged all; it fails when a timeline lacks an entry or has one twice.

FANBENCH_ID='1000000000000 + '

# fanout_graph TIMELINES AUTHORS MEAN: authors 0, 1, ... with audiences that fall like k^-0.7 and MEAN on average, of
# followers spread evenly over the timelines; materialised timelines for all. The fan-out reads the primary key of
# follows only, so the other indexes are not made.
fanout_graph() {
    local timelines=$1 authors=$2 mean=$3
    fanout_accounts "$authors"
    postgres_psql rookery <<SQL
drop index follows_following, follows_followers;
with sizes as (select k, least($timelines, greatest(1, round($mean * $authors * power(k + 1, -0.7)
         / (select sum(power(i, -0.7)) from generate_series(1, $authors) i))))::bigint as n
       from generate_series(0, $authors - 1) k)
insert into follows (followee_id, follower_id, id)
  select $FANBENCH_ID k, $FANBENCH_ID (k * 7919::bigint + j * 61) % $timelines, 1
  from sizes, generate_series(0, n - 1) j;
vacuum analyze follows;
SQL
}
fanout_accounts() { # NUMBER
    postgres_psql rookery <<SQL
insert into accounts (id, handle, display_name, password_hash)
  select $FANBENCH_ID k, 'author' || k, 'author', '' from generate_series(0, $1 - 1) k;
insert into account_stats (account_id) select id from accounts;
SQL
}

fanout_workers() { # NUMBER
    local i
    for ((i = 1; i <= $1; i++)); do
        daemon_start "worker-$i" ROOKERY_ROLES=fanout,chunks "$BUILD/rookery-worker"
        WORKER_PIDS+=("$(pidfile_pid "$DATA/run/worker-$i.pid")")
    done
    # Redis would rewrite its log during some measurement, and slow that one down.
    redis-cli -s "$SOCKETS/redis.sock" config set auto-aof-rewrite-percentage 0 >/dev/null
    wait_until 30 groups_are_there || die "the workers made no groups"
}
groups_are_there() {
    local p
    for p in 0 1 2 3; do
        redis-cli -s "$SOCKETS/redis.sock" --raw xinfo groups "chunks:{$p}" | grep -q chunks &&
            redis-cli -s "$SOCKETS/redis.sock" --raw xinfo groups "events:{$p}" | grep -q fanout || return 1
    done
}

# Redis's own measure: one id a command, pipelined, to random ones of the same lists.
fanout_yardstick() { # TIMELINES COMMANDS
    local epoch
    epoch=$(postgres_psql rookery -c 'select max(epoch) from redis_epochs')
    redis-benchmark -s "$SOCKETS/redis.sock" -c 4 -P 128 -n "$2" -r "$1" --csv \
        RPUSHX "tl:$epoch:{1__rand_int__}" 384136386610987008 | awk -F '"' 'END { print $4 }'
}

# B1: deliveries a second through one worker, its follower lists warm. Steady: as many posts under way as fit in one
# batch of each partition's. Catching up: the worker was stopped while the posts came. The yardstick is what Redis
# takes in one-id commands from a client that does nothing else.
bench_B1() {
    local timelines authors posts commands rounds i WORKER_PIDS=()
    timelines=$(bench_size 100000 10000) authors=$(bench_size 5000 500) posts=$(bench_size 16384 2048)
    commands=$(bench_size 2000000 200000) rounds=$(bench_size 5 1)
    bench_start
    migrate
    bench_note "making a graph: $authors authors with 400 followers on average, $timelines timelines"
    fanout_graph "$timelines" "$authors" 400
    fanout_workers 1
    "$BUILD/fanbench" timelines "$timelines"
    "$BUILD/fanbench" steady "$(bench_size 5 2)" 512 >/dev/null
    for ((i = 0; i < rounds; i++)); do
        fanout_yardstick "$timelines" "$commands" >>"$WORK/b1-yardstick"
        "$BUILD/fanbench" steady "$(bench_size 5 2)" 512 >>"$WORK/b1-steady"
        "$BUILD/fanbench" catchup "$posts" "${WORKER_PIDS[@]}" >>"$WORK/b1-catchup"
    done
    local yardstick
    yardstick=$(median <"$WORK/b1-yardstick")
    bench_ratio "fan-out, steady" deliveries/s "$(median <"$WORK/b1-steady")" "$yardstick" "one-id RPUSHX/s" at-least 0.9
    bench_ratio "fan-out, catching up" deliveries/s "$(median <"$WORK/b1-catchup")" "$yardstick" "one-id RPUSHX/s" \
        at-least 3
}

# B2: from the event to the last of its author's followers, all of whom have a timeline, through two workers; and how
# long a small post takes that comes right behind the largest.
bench_B2() {
    local sizes rounds size k i WORKER_PIDS=()
    read -r -a sizes <<<"$(bench_size '10 1000 10000 100000 1000000' '10 1000 10000')"
    rounds=$(bench_size 7 3)
    bench_start
    migrate
    fanout_accounts ${#sizes[@]}
    bench_note "making audiences of ${sizes[*]}"
    postgres_psql rookery -c 'drop index follows_following, follows_followers'
    for k in "${!sizes[@]}"; do
        postgres_psql rookery -c "insert into follows (followee_id, follower_id, id)
            select $FANBENCH_ID $k, $FANBENCH_ID j, 1 from generate_series(0, ${sizes[k]} - 1) j where j <> $k"
    done
    postgres_psql rookery -c 'vacuum analyze follows'
    fanout_workers 2
    "$BUILD/fanbench" timelines "${sizes[-1]}"
    for ((i = 0; i < rounds; i++)); do
        for k in "${!sizes[@]}"; do "$BUILD/fanbench" last "$k" >>"$WORK/b2-${sizes[k]}"; done
        "$BUILD/fanbench" behind 0 $((${#sizes[@]} - 1)) >>"$WORK/b2-behind"
    done
    bench_limit "10 followers, right behind a post to ${sizes[-1]} (P4)" ms "$(median <"$WORK/b2-behind")" at-most 25
    for size in "${sizes[@]}"; do fanout_last_row "$size" "$(median <"$WORK/b2-$size")"; done
}
fanout_last_row() { # FOLLOWERS MS
    case $1 in
    1000) bench_limit "the last of 1 k followers" ms "$2" at-most 25 ;;
    10000) bench_limit "the last of 10 k followers" ms "$2" at-most 50 "Mastodon: 57 s" ;;
    100000) bench_limit "the last of 100 k followers" ms "$2" at-most 300 ;;
    1000000) bench_limit "the last of 1 M followers" ms "$2" at-most 3000 "Twitter: 3.5 s" ;;
    esac
}
