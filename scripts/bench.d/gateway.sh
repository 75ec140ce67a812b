# shellcheck shell=bash
# B3 and B4: reading home timelines, and writing posts, through one gateway. Sourced by scripts/bench.

# Connections, and calls in flight on each: the same on both sides.
GATEWAY_LOAD='16 16'

# gateway_world ACCOUNTS FOLLOWS POSTS: accounts bench1 ... with sessions whose tokens are in WORK/tokens, each following
# about so many others, some of them far more followed than most. Their posts are of the last two days; of ten, two are replies
# and one a repost, every fourth mentions somebody, and there are three likes for two.
gateway_world() {
    bench_start 1 1
    postgres_psql rookery -v accounts="$1" -v follows="$2" -v posts="$3" >/dev/null <<'SQL'
select setseed(0.5);
create function pg_temp.some_account(n bigint) returns bigint language sql volatile as
    'select 1 + floor(n * power(random(), 2))::bigint';
-- Ids as the gateways make them: milliseconds since 2024, 22 bits of node and sequence.
create function pg_temp.id_at(age_s float) returns bigint language sql as
    'select ((extract(epoch from now()) - age_s) * 1000 - 1704067200000)::bigint << 22';
insert into accounts (id, handle, display_name, password_hash)
    select i, 'bench' || i, 'Bird number ' || i, 'none' from generate_series(1, :accounts) i;
insert into account_stats (account_id) select id from accounts;
insert into sessions (id, account_id, token_hash, expires_at)
    select i, i, sha256(convert_to('bench-' || lpad(i::text, 10, '0'), 'UTF8')), now() + interval '1 day'
    from generate_series(1, :accounts) i;
insert into follows (follower_id, followee_id, id)
    select f, t, row_number() over ()
    from (select distinct f, pg_temp.some_account(:accounts) as t
          from generate_series(1, :accounts) f, generate_series(1, :follows)) pairs
    where f <> t;
insert into posts (id, author_id, text, thread_id)
    select pg_temp.id_at(172800.0 * (:posts - i) / :posts), pg_temp.some_account(:accounts),
        i || repeat(' the colony wakes before dawn', 1 + i % 6) || ' #birds' ||
            case when i % 4 = 0 then ' and @bench' || 1 + i % 100 || ' has heard' else '' end, 0
    from generate_series(1, :posts) i;
create temp table numbered as select id, author_id, row_number() over (order by id) as n from posts;
create index on numbered (n);
update posts p set reply_to_id = target.id, reply_to_account_id = target.author_id
    from numbered own join numbered target on target.n = own.n - 1 - own.n % 50
    where own.id = p.id and own.n % 10 in (2, 6);
update posts p set repost_of_id = target.id, text = ''
    from numbered own join numbered target on target.n = own.n - 2 - 10 * (own.n % 20)
    where own.id = p.id and own.n % 10 = 9 and target.author_id <> own.author_id and target.n % 10 <> 9;
update posts set thread_id = coalesce(reply_to_id, id);
insert into likes (post_id, account_id, id)
    select id, 1 + floor(:accounts * random())::bigint, 0 from numbered, generate_series(1, 3) where n % 10 < 5
    on conflict do nothing;
insert into post_counts (post_id, likes) select post_id, count(*) from likes group by 1;
analyze;
SQL
    seq -f 'bench-%010.0f' 1 "$1" >"$WORK/tokens"
    bench_note "$1 accounts, each following about $2; $3 posts, replies and reposts"
}

# Prints the number in front of "calls/s".
calls_per_second() { awk '{ print $1 }'; }

# constant_server: builds the yardstick and starts it at CONSTANT.
constant_server_start() {
    local flags
    flags=$(pkg-config --cflags --libs grpc++) || bench_skip 'home timelines' 'libgrpc++-dev is not installed'
    # shellcheck disable=SC2086 # flags are words
    g++ -O2 -std=c++17 -o "$WORK/constant_server" scripts/bench.d/constant_server.cc $flags
    CONSTANT=127.0.0.1:$(free_port)
    # One thread, as a gateway has: more make it slower while its client shares the cores.
    start_process "$DATA/run/gateway-constant.pid" "$DATA/log/constant.log" "$WORK/constant_server" "$CONSTANT" 4096 1
    wait_ready 'the gRPC C++ server' "$DATA/run/gateway-constant.pid" "$DATA/log/constant.log" 30 \
        port_is_taken 127.0.0.1 "${CONSTANT##*:}"
}

# What a plain HTTP/2 server does with a file of that size: the neighbourhood, not a yardstick with a target.
note_nghttpd() { # SECONDS
    local port folder=$WORK/htdocs
    command -v nghttpd >/dev/null && command -v h2load >/dev/null || return 0
    port=$(free_port)
    mkdir -p "$folder"
    head -c 4096 /dev/zero | tr '\0' x >"$folder/file"
    start_process "$DATA/run/gateway-nghttpd.pid" "$DATA/log/nghttpd.log" \
        nghttpd --no-tls --address=127.0.0.1 --htdocs="$folder" "$port"
    wait_ready nghttpd "$DATA/run/gateway-nghttpd.pid" "$DATA/log/nghttpd.log" 30 port_is_taken 127.0.0.1 "$port"
    bench_note "nghttpd with a file of 4 KB, by h2load: $(h2load -D "$1" -c 16 -m 16 "http://127.0.0.1:$port/file" |
        sed -n 's/^finished in [^,]*, \([^,]*\),.*/\1/p')"
    stop_process "$DATA/run/gateway-nghttpd.pid" TERM 10
}

# B3: GetHomeTimeline, authenticated, pages of 20, from Redis and the gateway's caches as in production; every
# fourth reader asks for a second page. Nobody posts meanwhile, so most reads find the tail of their list as the gateway kept
# it; how many is noted. Beside the fastest gRPC server that C++ offers, which looks at nothing and
# answers a constant of about that size. The client is the same, checks every reply, and takes its share of the
# same cores on both sides.
bench_B3() {
    local seconds turn rounds ours=() yardstick=()
    seconds=$(bench_size 5 1) rounds=$(bench_size 7 3)
    gateway_world "$(bench_size 1000 200)" "$(bench_size 100 80)" "$(bench_size 20000 10000)"
    constant_server_start
    for ((turn = 1; turn <= rounds; turn++)); do
        # shellcheck disable=SC2086 # two words
        yardstick+=("$("$BUILD/rpcbench" call "$CONSTANT" $GATEWAY_LOAD "$seconds" /bench.Constant/Get 4096 | calls_per_second)")
        # shellcheck disable=SC2086
        ours+=("$("$BUILD/rpcbench" home "$GATEWAY" "$WORK/tokens" $GATEWAY_LOAD "$seconds" | tee -a "$WORK/home" | calls_per_second)")
        bench_note "turn $turn: $(tail -n 1 "$WORK/home"); the C++ server ${yardstick[-1]}"
    done
    bench_note "tails of lists: $(curl -s "http://$(head -n 1 "$DATA/run/metrics")/metrics" | sed -n 's/^rookery_home_tails_total//p' | paste -s -d ' ')"
    note_nghttpd "$seconds"
    bench_ratio 'home timelines' 'reads/s' "$(printf '%s\n' "${ours[@]}" | median)" \
        "$(printf '%s\n' "${yardstick[@]}" | median)" 'calls/s of a constant gRPC C++ server' at-least 1.5
}

# B4: CreatePost: authenticated, checked, numbered, committed with its event (synchronous_commit on), published and
# acknowledged. Beside pgbench, which inserts a row of the same size into the same PostgreSQL, one a transaction,
# over 32 connections. A worker runs, as it always does; few follow anybody, because what deliveries cost is B1's.
bench_B4() {
    local seconds turn rounds ours=() yardstick=()
    seconds=$(bench_size 6 1) rounds=$(bench_size 7 3)
    gateway_world "$(bench_size 1000 200)" 3 1000
    postgres_psql rookery -c 'create table bench_rows (id bigint generated always as identity primary key,
        author bigint not null, body text not null)' >/dev/null
    cat >"$WORK/insert.sql" <<'SQL'
\set author random(1, 1000)
insert into bench_rows (author, body) values (:author, '0 the colony wakes before dawn and every one of them has heard #birds something the colony wakes @bench7');
SQL
    for ((turn = 1; turn <= rounds; turn++)); do
        yardstick+=("$(PGOPTIONS='' "$POSTGRES_BIN/pgbench" -n -M prepared -c 32 -j 2 -T "$seconds" -f "$WORK/insert.sql" \
            -h "$SOCKETS/postgres" -U postgres rookery 2>"$WORK/pgbench.err" | sed -n 's/^tps = \([0-9.]*\).*/\1/p')")
        # shellcheck disable=SC2086
        ours+=("$("$BUILD/rpcbench" post "$GATEWAY" "$WORK/tokens" $GATEWAY_LOAD "$seconds" | tee -a "$WORK/post" | calls_per_second)")
        bench_note "turn $turn: $(tail -n 1 "$WORK/post"); pgbench ${yardstick[-1]}"
    done
    bench_ratio 'posts' 'posts/s' "$(printf '%s\n' "${ours[@]}" | median)" \
        "$(printf '%s\n' "${yardstick[@]}" | median)" 'rows/s of pgbench, 32 connections' at-least 1.0
}
