/* fanbench: how fast events become entries of home timelines, and when the last of them is there.
 *
 *   fanbench timelines N              makes the home timelines of accounts 0 to N-1, empty and materialised
 *   fanbench steady SECONDS WINDOW    posts with at most WINDOW under way at a time; prints deliveries a second
 *   fanbench catchup POSTS PID...     stops these workers (SIGSTOP), posts, lets them go on; prints the same
 *   fanbench last ACCOUNT             one post by this account; prints the ms until every follower has it
 *   fanbench behind ACCOUNT OTHER     posts by OTHER, then at once by ACCOUNT; prints the ms until the followers of
 *                                     ACCOUNT have theirs, and waits for the rest
 *
 * Account number n has the id FIRST_ID + n. Authors are all accounts that have followers in the database; they
 * post in turn, in an order mixed by a fixed seed. Events go straight on the streams, as a gateway would put
 * them there: what is measured begins at XADD and ends when every group has acknowledged, which is after the
 * last delivery. Every run then counts what is on the timelines and fails when an entry is missing or there
 * twice. Needs DATABASE_URL and REDIS_URL (unix://), and no timeline long enough to be trimmed.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/event/keys.h"
#include "core/event/outbox.h"
#include "core/id/snowflake.h"

/* Thirteen digits, of which redis-benchmark's random numbers are the last twelve. */
#define FIRST_ID INT64_C(1000000000000)
#define PIPELINE 10000
#define POLL_US 1000
#define LIMIT_S 600

struct author {
    int64_t id, audience;
};

struct bench {
    redisContext *redis;
    PGconn *db;
    int64_t epoch;
    int partitions;
    struct author *authors;
    size_t n_authors, next_author;
    struct snowflake ids;
    struct arena arena;
    int64_t posted, deliveries; /* of this run; an author's own entry counts when they have a timeline */
    int64_t n_timelines;
};

static void die(const char *what, const char *why) {
    fprintf(stderr, "fanbench: %s: %s\n", what, why);
    exit(1);
}

/* ---- servers ---- */

static redisReply *next_reply(struct bench *b) {
    void *reply = NULL;
    if (redisGetReply(b->redis, &reply) != REDIS_OK) die("Redis", b->redis->errstr);
    redisReply *r = reply;
    if (r->type == REDIS_REPLY_ERROR) die("Redis", r->str);
    return r;
}

static void drop_replies(struct bench *b, int64_t n) {
    while (n-- > 0) freeReplyObject(next_reply(b));
}

static PGresult *query(struct bench *b, const char *sql) {
    PGresult *r = PQexec(b->db, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) die(sql, PQerrorMessage(b->db));
    return r;
}

static int64_t number(struct bench *b, const char *sql) {
    PGresult *r = query(b, sql);
    int64_t n = PQntuples(r) == 1 ? atoll(PQgetvalue(r, 0, 0)) : 0;
    PQclear(r);
    return n;
}

static void connect_all(struct bench *b) {
    const char *redis = getenv("REDIS_URL"), *database = getenv("DATABASE_URL");
    if (!redis || strncmp(redis, "unix://", 7) != 0 || !database) die("settings", "see the top of main.c");
    b->redis = redisConnectUnix(redis + 7);
    if (!b->redis || b->redis->err) die("Redis", "cannot connect");
    b->db = PQconnectdb(database);
    if (PQstatus(b->db) != CONNECTION_OK) die("PostgreSQL", PQerrorMessage(b->db));
    b->epoch = number(b, "SELECT max(epoch) FROM redis_epochs");
    b->partitions = getenv("ROOKERY_PARTITIONS") ? atoi(getenv("ROOKERY_PARTITIONS")) : 4;
    if (b->epoch == 0) die("epoch", "start a worker first: it opens one");
}

static int by_random(const void *a, const void *b) {
    uint64_t x = (uint64_t)((const struct author *)a)->id * UINT64_C(0x9E3779B97F4A7C15);
    uint64_t y = (uint64_t)((const struct author *)b)->id * UINT64_C(0x9E3779B97F4A7C15);
    return (x > y) - (x < y);
}

static void load_authors(struct bench *b) {
    PGresult *r = query(b, "SELECT followee_id, count(*) FROM follows GROUP BY 1");
    b->n_authors = (size_t)PQntuples(r);
    b->authors = calloc(b->n_authors + 1, sizeof *b->authors);
    if (!b->authors) die("authors", "out of memory");
    for (int i = 0; i < PQntuples(r); i++)
        b->authors[i] = (struct author){atoll(PQgetvalue(r, i, 0)), atoll(PQgetvalue(r, i, 1))};
    PQclear(r);
    qsort(b->authors, b->n_authors, sizeof *b->authors, by_random);
    if (b->n_authors == 0) die("authors", "nobody has followers");
}

/* ---- timelines ---- */

static void make_timelines(struct bench *b, int64_t n) {
    char key[KEY_MAX];
    for (int64_t i = 0; i < n; i += PIPELINE) {
        int64_t end = i + PIPELINE < n ? i + PIPELINE : n;
        for (int64_t k = i; k < end; k++) {
            key_timeline(key, b->epoch, FIRST_ID + k);
            redisAppendCommand(b->redis, "DEL %s", key);
            redisAppendCommand(b->redis, "RPUSH %s f0", key);
        }
        drop_replies(b, 2 * (end - i));
    }
}

/* How many there are is found by asking for the first that is missing. */
static int64_t count_timelines(struct bench *b) {
    char key[KEY_MAX];
    int64_t low = 0, high = INT64_C(1) << 30;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        key_timeline(key, b->epoch, FIRST_ID + middle);
        redisAppendCommand(b->redis, "EXISTS %s", key);
        redisReply *r = next_reply(b);
        if (r->integer)
            low = middle + 1;
        else
            high = middle;
        freeReplyObject(r);
    }
    return low;
}

static int64_t count_entries(struct bench *b) {
    char key[KEY_MAX];
    int64_t sum = 0;
    for (int64_t i = 0; i < b->n_timelines; i += PIPELINE) {
        int64_t end = i + PIPELINE < b->n_timelines ? i + PIPELINE : b->n_timelines;
        for (int64_t k = i; k < end; k++) {
            key_timeline(key, b->epoch, FIRST_ID + k);
            redisAppendCommand(b->redis, "LLEN %s", key);
        }
        for (int64_t k = i; k < end; k++) {
            redisReply *r = next_reply(b);
            sum += r->integer;
            freeReplyObject(r);
        }
    }
    return sum;
}

/* ---- posting ---- */

static int64_t post(struct bench *b, const struct author *a) {
    Rookery__Events__V1__PostCreated created = ROOKERY__EVENTS__V1__POST_CREATED__INIT;
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    char key[KEY_MAX];
    while ((e.id = snowflake_next(&b->ids, clock_wall_ms())) == 0) usleep(100);
    created.post_id = e.id;
    e.actor_id = a->id;
    e.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED;
    e.post_created = &created;
    struct event_record record = event_encode(&b->arena, &e, b->partitions);
    stream_key(key, &STREAMS[STREAM_EVENTS], record.partition);
    redisAppendCommand(b->redis, "XADD %s * e %b", key, record.payload.ptr, record.payload.len);
    arena_reset(&b->arena);
    b->posted++;
    b->deliveries += a->audience + (a->id - FIRST_ID < b->n_timelines);
    return e.id;
}

static void post_many(struct bench *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        post(b, &b->authors[b->next_author++ % b->n_authors]);
        if ((i + 1) % PIPELINE == 0) drop_replies(b, PIPELINE);
    }
    drop_replies(b, n % PIPELINE);
}

/* ---- how far the workers are ---- */

struct progress {
    int64_t handled; /* entries read and acknowledged */
    bool done;       /* all there is */
};

static const redisReply *value_of(const redisReply *flat, const char *name) {
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (strcmp(flat->element[i]->str, name) == 0) return flat->element[i + 1];
    die("XINFO", name);
    return NULL;
}

static void look_at(const redisReply *stream, const redisReply *groups, const char *role,
                    struct progress *p) {
    const char *last = value_of(stream, "last-generated-id")->str;
    for (size_t i = 0; i < groups->elements; i++) {
        const redisReply *g = groups->element[i];
        if (strcmp(value_of(g, "name")->str, role) != 0) continue;
        int64_t pending = value_of(g, "pending")->integer;
        p->handled += value_of(g, "entries-read")->integer - pending;
        if (pending > 0 || strcmp(value_of(g, "last-delivered-id")->str, last) != 0) p->done = false;
        return;
    }
    p->done = false;
}

static struct progress progress_of(struct bench *b, const char *stream, const char *role) {
    struct progress p = {.done = true};
    for (int i = 0; i < b->partitions; i++) {
        redisAppendCommand(b->redis, "XINFO STREAM %s:{%d}", stream, i);
        redisAppendCommand(b->redis, "XINFO GROUPS %s:{%d}", stream, i);
    }
    for (int i = 0; i < b->partitions; i++) {
        redisReply *info = next_reply(b), *groups = next_reply(b);
        look_at(info, groups, role, &p);
        freeReplyObject(info);
        freeReplyObject(groups);
    }
    return p;
}

/* In this order: the fan-out's tasks for the chunks are there before it acknowledges. */
static bool all_done(struct bench *b) {
    return progress_of(b, "events", "fanout").done && progress_of(b, "chunks", "chunks").done;
}

/* Looks more seldom the longer it takes, a hundredth too late at most: looking is work for Redis, too. */
static void wait_for_all(struct bench *b) {
    int64_t began = clock_mono_ns();
    while (!all_done(b)) {
        int64_t waited_ns = clock_mono_ns() - began;
        if (waited_ns > LIMIT_S * NS_PER_S) die("the workers", "are not done after ten minutes");
        usleep((useconds_t)(waited_ns < 100 * NS_PER_MS ? POLL_US : waited_ns / NS_PER_MS * 10));
    }
}

static void verify(struct bench *b, int64_t before) {
    int64_t came = count_entries(b) - before;
    if (came == b->deliveries) return;
    fprintf(stderr, "fanbench: %" PRId64 " entries came, not %" PRId64 "\n", came, b->deliveries);
    exit(1);
}

/* ---- what is measured ---- */

static void report(const struct bench *b, int64_t began_ns, int64_t ended_ns) {
    double seconds = (double)(ended_ns - began_ns) / (double)NS_PER_S;
    printf("%.0f\n", (double)b->deliveries / seconds);
    fprintf(stderr, "    %" PRId64 " posts, %" PRId64 " deliveries in %.3f s\n", b->posted, b->deliveries,
            seconds);
}

static void steady(struct bench *b, int64_t seconds, int64_t window) {
    int64_t before = count_entries(b), handled = progress_of(b, "events", "fanout").handled;
    int64_t began = clock_mono_ns(), end = began + seconds * NS_PER_S;
    while (clock_mono_ns() < end) {
        int64_t under_way = b->posted - (progress_of(b, "events", "fanout").handled - handled);
        if (under_way < window) post_many(b, window - under_way);
        usleep(POLL_US);
    }
    wait_for_all(b);
    report(b, began, clock_mono_ns());
    verify(b, before);
}

static void signal_all(char **pids, int signal) {
    for (; *pids; pids++)
        if (kill((pid_t)atoi(*pids), signal) != 0) die("cannot signal the worker", *pids);
}

static void catchup(struct bench *b, int64_t posts, char **pids) {
    int64_t before = count_entries(b);
    signal_all(pids, SIGSTOP);
    post_many(b, posts);
    int64_t began = clock_mono_ns();
    signal_all(pids, SIGCONT);
    wait_for_all(b);
    report(b, began, clock_mono_ns());
    verify(b, before);
}

static int64_t find_author(const struct bench *b, int64_t account) {
    for (size_t i = 0; i < b->n_authors; i++)
        if (b->authors[i].id == FIRST_ID + account) return (int64_t)i;
    die("authors", "this account has no followers");
    return 0;
}

static void last(struct bench *b, int64_t account) {
    const struct author *a = &b->authors[find_author(b, account)];
    int64_t before = count_entries(b), began = clock_mono_ns();
    post(b, a);
    drop_replies(b, 1);
    wait_for_all(b);
    printf("%.3f\n", (double)(clock_mono_ns() - began) / (double)NS_PER_MS);
    verify(b, before);
}

/* Is the entry on the timelines of the first `n` accounts (but for its author)? */
static bool has_come(struct bench *b, int64_t entry, int64_t author, int64_t n) {
    char key[KEY_MAX];
    bool everywhere = true;
    for (int64_t i = 0; i < n; i++) {
        key_timeline(key, b->epoch, i == author ? FIRST_ID + n : FIRST_ID + i);
        redisAppendCommand(b->redis, "LPOS %s %lld", key, (long long)entry);
        redisReply *r = next_reply(b);
        everywhere = everywhere && r->type == REDIS_REPLY_INTEGER;
        freeReplyObject(r);
    }
    return everywhere;
}

/* The followers of ACCOUNT are the first accounts, as scripts/bench makes them. */
static void behind(struct bench *b, int64_t account, int64_t other) {
    const struct author *a = &b->authors[find_author(b, account)], *big = &b->authors[find_author(b, other)];
    int64_t before = count_entries(b);
    post(b, big);
    drop_replies(b, 1);
    int64_t began = clock_mono_ns(), entry = post(b, a);
    drop_replies(b, 1);
    while (!has_come(b, entry, account, a->audience)) usleep(POLL_US);
    printf("%.3f\n", (double)(clock_mono_ns() - began) / (double)NS_PER_MS);
    wait_for_all(b);
    verify(b, before);
}

int main(int argc, char **argv) {
    struct bench b = {0};
    const char *what = argc > 2 ? argv[1] : "";
    connect_all(&b);
    if (strcmp(what, "timelines") == 0) {
        make_timelines(&b, atoll(argv[2]));
        return 0;
    }
    load_authors(&b);
    b.n_timelines = count_timelines(&b);
    snowflake_init(&b.ids, 1023, INT64_MAX);
    arena_init(&b.arena, 0);
    if (strcmp(what, "steady") == 0 && argc == 4)
        steady(&b, atoll(argv[2]), atoll(argv[3]));
    else if (strcmp(what, "catchup") == 0 && argc > 3)
        catchup(&b, atoll(argv[2]), argv + 3);
    else if (strcmp(what, "last") == 0)
        last(&b, atoll(argv[2]));
    else if (strcmp(what, "behind") == 0 && argc == 4)
        behind(&b, atoll(argv[2]), atoll(argv[3]));
    else
        die("usage", "timelines N | steady SECONDS WINDOW | catchup POSTS PID... | last ACCOUNT | behind "
                     "ACCOUNT OTHER");
    return 0;
}
