#!/usr/bin/env bash
# scripts/load: a graph in the database is as if its accounts had registered and followed; traffic gets through.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

BUILD=${ROOKERY_BUILD:-$ROOT/build}
export BUILD
# shellcheck source=../../scripts/lib-servers.sh
. "$ROOT/scripts/lib-servers.sh"
stack=${ROOKERY_TEST_STACK:?}
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
psql=$(postgres_find)/psql
# shellcheck disable=SC1091
. "$stack/run/env"

# On standard input, since a list of ids can be longer than a command line.
query() { "$psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE_URL" <<<"$1"; }
load() { "$ROOT/scripts/load" "$@" --data "$stack" --tokens "$home/tokens"; }
# Without the script, which first looks whether everything is built.
daemon_env
graph() { "${DAEMON_ENV[@]}" "$BUILD/rookery-load" graph --tokens "$home/tokens" "$@"; }
# The account that line N of the tokens is of.
account() { sed -n "${1}s/\t.*//p" "$home/tokens"; }
follows() { query "SELECT count(*) FROM follows WHERE follower_id = $(account "$1") AND followee_id = $(account "$2")"; }
# What is derived, for the accounts of the tokens' file: rows that differ from the graph itself.
wrong_stats() {
    query "WITH a AS (SELECT unnest('{$(cut -f 1 "$home/tokens" | paste -sd ,)}'::bigint[]) AS id)
           SELECT count(*) FROM a LEFT JOIN account_stats s ON s.account_id = a.id
           WHERE s.follower_count IS DISTINCT FROM (SELECT count(*) FROM follows WHERE followee_id = a.id)
              OR s.following_count <> (SELECT count(*) FROM follows WHERE follower_id = a.id)
              OR s.follower_version <> s.follower_count OR s.post_count <> 0 OR s.pulled"
}

printf '# a comment\n%% another\n\n7 9\n9\t7\n7,1000000007 0.5 1999\n7 9\n9 9\n' >"$home/edges"
check "an edge list is imported" load graph "$home/edges"
check "with an account for each number" [ "$(wc -l <"$home/tokens")" = 3 ]
check "only the owner can read the tokens" [ "$(stat -c %a "$home/tokens")" = 600 ]
first=$(sed -n '1s/.*_\([0-9]*\)\t.*/\1/p' "$home/tokens")
check "\"a b\" means that a follows b" [ "$(follows 1 2)$(follows 1 3)$(follows 3 1)" = 110 ]
check "both ways where both are written" [ "$(follows 2 1)" = 1 ]
check "duplicates and self-loops are dropped" [ "$(follows 2 2)" = 0 ]
check "what is derived is as the calls would have left it" [ "$(wrong_stats)" = 0 ]
check "handles are made of words and a number" \
    grep -qE '^[0-9]+	[a-z]+_[a-z]+_[0-9]+	[A-Za-z0-9_-]{43}$' "$home/tokens"

check "undirected edges are followed both ways" graph "$home/edges" --undirected
check "later tokens are kept behind earlier ones" [ "$(wc -l <"$home/tokens")" = 6 ]
check "both follow" [ "$(follows 4 6)$(follows 6 4)" = 11 ]

synthetic() { graph --synthetic 2000 --average-follows 20 --seed "$1" >"$home/out"; }
# The shape of the last 2000 accounts' graph, whatever their ids are.
shape() {
    query "WITH a AS (SELECT id, row_number() OVER (ORDER BY id) AS n
                      FROM (SELECT id FROM accounts ORDER BY id DESC LIMIT 2000) newest)
           SELECT md5(string_agg(x.n || ' ' || y.n, ',' ORDER BY x.n, y.n))
           FROM follows f JOIN a x ON x.id = f.follower_id JOIN a y ON y.id = f.followee_id"
}
check "a made-up graph is loaded" synthetic 5
one=$(shape)
check "what is derived is right for it, too" [ "$(wrong_stats)" = 0 ]
check "a few have a large audience, most a small one" [ "$(query "
    SELECT max(follower_count) > 20 * percentile_disc(0.5) WITHIN GROUP (ORDER BY follower_count)
    FROM account_stats WHERE account_id >= $(account 7)")" = t ]
check "it is made once more" synthetic 5
check "the same seed gives the same graph" [ "$(shape)" = "$one" ]
check "another seed" synthetic 6
check_not "gives another" [ "$(shape)" = "$one" ]

# A graph that does not fit in memory: every number follows some of the next 50, in no order, some twice.
awk 'BEGIN { srand(3); for (i = 0; i < 60000; i++) { a = int(rand() * 2000); print a, (a + 1 + int(rand() * 50)) % 2000 } }' \
    >"$home/large"
check "a file is sorted in memory" graph "$home/large"
one=$(shape)
check "and in many runs on disk" graph "$home/large" --run-edges 700
check "which gives the same graph" [ "$(shape)" = "$one" ]
check "with what is derived" [ "$(wrong_stats)" = 0 ]

check "posts are written through the gateway" load posts --rate 200 --seconds 1 --connections 3 --json
posts_of() { query "SELECT count(*) FROM posts WHERE author_id >= $(account 1)"; }
check "all of them are in the database" [ "$(posts_of)" = 200 ]
check "a mix of reads and posts gets through" load mix --rate 200 --seconds 1 --accounts 100
check "as a table that has latencies" grep -q 'p99.9' <(load reads --rate 100 --seconds 1)

# A node number that is in use goes to nobody else, so ids cannot collide.
node='(id >> 12) & 1023'
check "ids are of a node that no gateway holds" [ "$(query "
    SELECT count(*) FROM accounts WHERE id IN ($(cut -f 1 "$home/tokens" | paste -sd ,))
    AND $node IN (SELECT $node FROM posts WHERE author_id >= $(account 1))")" = 0 ]
many=$home/many
awk 'BEGIN { for (i = 1; i <= 10050; i++) print 0, i }' >"$many"
check "nobody follows more than 10000, and the rest is told" grep -q '^50 follows left out' <(graph "$many")

before=$(query 'SELECT count(*) FROM accounts')
printf '1 2\n3 x\n' >"$home/bad"
check "a line that is no edge is named" says "bad, line 2: an edge is two whole numbers" graph "$home/bad"
check "a file that is not there is named" says 'none cannot be opened' graph "$home/none"
check "an empty file is refused" says 'holds no edge' graph /dev/null
check "handles that are taken are refused" says 'choose other numbers' graph "$home/edges" --first "$first"
check "a bad number is refused" says 'rate must be a whole number' load posts --rate 0
check "a word too many is named" says 'there is no option "quickly"' load posts quickly
check "a mix of what there is not is refused" says 'must be like home=60' load mix --mix home=1,likes=2
check "an option of another command is refused" says 'unrecognized option' graph --rate 5 "$home/edges"
check "what failed left nothing behind" [ "$(query 'SELECT count(*) FROM accounts')" = "$before" ]
check "a gateway that is not there is said" says 'no gateway answers' load posts --gateway 127.0.0.1:1
done_testing
