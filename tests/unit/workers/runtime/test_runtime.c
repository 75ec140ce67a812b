/* The consumer runtime, when workers die: who ends as a dead letter and who does not (workers/runtime/trial.h). Workers
 * are processes of their own, with roles whose entries say what becomes of whoever handles them; a supervisor starts
 * them again and again, as Kubernetes would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rookery/events/v1/chunk.pb-c.h"
#include "tests/unit/support/redis_server.h"
#include "workers/runtime/runtime.h"

#define GROUP "tested"
#define MAX_DELIVERIES 3
#define PARTITIONS 2
/* The longest that anything may take. */
#define PATIENCE_S 60

/* ---- a worker ------------------------------------------------------------------------------------------ */

/* A payload is "x" and a letter, which is a message with an unknown field. The letters: */
enum kind {
    GOOD = 'G',     /* handled at once */
    POISON = 'P',   /* kills at once */
    WAITING = 'W',  /* waits until "open" exists; then is as GOOD */
    SLEEPER = 'S',  /* waits half a second, then kills */
    COMPUTED = 'C', /* computed for half a second, in the thread pool */
    MISLED = 'M',   /* waits for half a second, is computed for a moment, and kills while it is */
};

static void nap_ms(long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void compute(void *arg) {
    nap_ms(*(const long *)arg);
}

static void compute_and_die(void *arg) {
    compute(arg);
    _exit(3);
}

static int wait_until_open(struct fiber *self, struct worker *w) {
    const struct redis_reply *open;
    if (redis_call(self, w->domain.redis, &open, "EXISTS open") != 0 || open->integer == 1) return 0;
    return fiber_sleep_ms(self, 3600 * 1000);
}

static int handle_one(struct fiber *self, struct worker *w, enum kind kind) {
    long half_a_second = 500, a_moment = 10;
    switch (kind) {
    case POISON: _exit(3);
    case WAITING: return wait_until_open(self, w);
    case SLEEPER: fiber_sleep_ms(self, 500); _exit(3);
    case COMPUTED: return fiber_offload(self, compute, &half_a_second);
    case MISLED: fiber_sleep_ms(self, 500); return fiber_offload(self, compute_and_die, &a_moment);
    case GOOD: break;
    }
    return 0;
}

static int handle(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault) {
    (void)fault;
    int e = 0;
    for (size_t i = 0; i < b->n && e == 0; i++)
        e = handle_one(self, w, (enum kind)b->items[i].payload.ptr[1]);
    return e;
}

static const struct stream STREAM = {.name = "chunks", .message = &rookery__events__v1__chunk__descriptor};
static const struct role ROLE = {.name = GROUP, .stream = &STREAM, .handle = handle};
static const struct role *const ROLE_TABLE[] = {&ROLE};

static void work(struct fiber *self, void *arg) {
    struct worker *w = arg;
    redis_wait_ready(self, w->domain.redis);
    runtime_start(w, ROLE_TABLE, 1);
    for (;;) fiber_sleep_ms(self, 1000);
}

static void be_worker(const char *url) {
    static struct config config = {.partitions = PARTITIONS,
                                   .batch_max = 100,
                                   .reclaim_ms = 100,
                                   .max_deliveries = MAX_DELIVERIES,
                                   .drain_ms = 1000};
    static struct worker w;
    char name[32];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(name, sizeof name, "worker-%ld", (long)getpid());
    w.consumer = name;
    w.domain = (struct domain){.config = &config, .metrics = metrics_new(), .loop = loop_new(NULL)};
    w.domain.redis = redis_open(w.domain.loop, url, "test", NULL, NULL);
    fiber_spawn(w.domain.loop, NULL, work, &w, NULL);
    loop_run(w.domain.loop);
    _exit(1);
}

/* ---- their supervisor ---------------------------------------------------------------------------------- */

struct world {
    struct redis_server server;
    redisContext *redis;
    pid_t worker; /* 0: none */
    int deaths;
    int64_t give_up_s;
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t now_s(void) {
    return now_ms() / 1000;
}

static redisReply *ask(struct world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    redisReply *r = redisvCommand(w->redis, format, args);
    va_end(args);
    assert_non_null(r);
    if (r->type == REDIS_REPLY_ERROR) fail_msg("%s: %s", format, r->str);
    return r;
}

static long long number(struct world *w, const char *command) {
    redisReply *r = ask(w, command);
    long long n = r->integer;
    freeReplyObject(r);
    return n;
}

/* Its entry's id goes to id. */
static void publish_to(struct world *w, int partition, enum kind kind, const char *role, char id[static 32]) {
    const char payload[] = {'x', (char)kind, '\0'};
    redisReply *r = ask(w, "XADD chunks:{%d} * e %s to %s", partition, payload, role);
    snprintf(id, 32, "%s", r->str);
    freeReplyObject(r);
}

static void publish(struct world *w, int partition, enum kind kind, char id[static 32]) {
    publish_to(w, partition, kind, GROUP, id);
}

static void start_worker(struct world *w) {
    pid_t parent = getpid();
    w->worker = fork();
    assert_true(w->worker >= 0);
    if (w->worker > 0) return;
    if (getppid() == parent) be_worker(w->server.url);
    _exit(1);
}

static void kill_worker(struct world *w) {
    kill(w->worker, SIGKILL);
    waitpid(w->worker, NULL, 0);
    w->worker = 0;
    w->deaths++;
}

/* Starts one when there is none. */
static void supervise(struct world *w) {
    if (w->worker > 0 && waitpid(w->worker, NULL, WNOHANG) == w->worker) {
        w->worker = 0;
        w->deaths++;
    }
    if (w->worker == 0) start_worker(w);
    if (now_s() > w->give_up_s) fail_msg("it takes too long");
    nap_ms(5);
}

/* Of an entry: its number of deliveries, 0 when it is not pending; and whether the worker that runs has it. */
static int64_t deliveries(struct world *w, int partition, const char *id, bool *held) {
    char name[32];
    redisReply *r = ask(w, "XPENDING chunks:{%d} " GROUP " %s %s 1", partition, id, id);
    int64_t n = 0;
    *held = false;
    if (r->elements == 1) {
        n = r->element[0]->element[3]->integer;
        snprintf(name, sizeof name, "worker-%ld", (long)w->worker);
        *held = w->worker > 0 && strcmp(r->element[0]->element[1]->str, name) == 0;
    }
    freeReplyObject(r);
    return n;
}

static bool is_pending(struct world *w, int partition, const char *id) {
    bool held;
    return deliveries(w, partition, id, &held) > 0;
}

static bool group_exists(struct world *w) {
    redisReply *r = redisCommand(w->redis, "XINFO GROUPS chunks:{0}");
    bool exists = r->type == REDIS_REPLY_ARRAY && r->elements == 1;
    freeReplyObject(r);
    return exists;
}

static void await_pending(struct world *w, int partition, const char *id, bool wanted) {
    while (!group_exists(w) || is_pending(w, partition, id) != wanted) supervise(w);
}

/* Gives out an entry of a partition, as if so many workers had died with it. */
static void hand_to_the_dead(struct world *w, int partition, const char *id, int times) {
    freeReplyObject(ask(w, "XCLAIM chunks:{%d} " GROUP " ghost 0 %s FORCE IDLE 1000000 RETRYCOUNT %d",
                        partition, id, times));
}

static void make_groups(struct world *w) {
    for (int p = 0; p < PARTITIONS; p++)
        freeReplyObject(ask(w, "XGROUP CREATE chunks:{%d} " GROUP " 0 MKSTREAM", p));
}

/* All that is there has been delivered to somebody. */
static void deliver_all(struct world *w) {
    for (int p = 0; p < PARTITIONS; p++)
        freeReplyObject(ask(w, "XREADGROUP GROUP " GROUP " ghost STREAMS chunks:{%d} >", p));
}

static long long dead_letters(struct world *w, int partition) {
    char command[64];
    snprintf(command, sizeof command, "XLEN dead:{%d}", partition);
    return number(w, command);
}

static bool is_dead_letter(struct world *w, int partition, const char *id) {
    redisReply *r = ask(w, "XRANGE dead:{%d} - +", partition);
    bool found = false;
    for (size_t i = 0; i < r->elements; i++)
        found = found || strcmp(r->element[i]->element[1]->element[5]->str, id) == 0;
    freeReplyObject(r);
    return found;
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    redis_server_start(&w->server, NULL);
    w->redis = redisConnectUnix(w->server.url + strlen("unix://"));
    w->give_up_s = now_s() + PATIENCE_S;
    *state = w;
    return w->redis->err;
}

static int teardown(void **state) {
    struct world *w = *state;
    if (w->worker > 0) kill_worker(w);
    redisFree(w->redis);
    redis_server_remove(&w->server);
    free(w);
    return 0;
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void what_kills_its_workers_ends_as_a_dead_letter(void **state) {
    struct world *w = *state;
    char before[32], poison[32], after[32];
    publish(w, 0, GOOD, before);
    publish(w, 0, POISON, poison);
    publish(w, 0, GOOD, after);
    while (dead_letters(w, 0) == 0) supervise(w);
    assert_true(is_dead_letter(w, 0, poison));
    await_pending(w, 0, before, false);
    await_pending(w, 0, after, false);
    await_pending(w, 0, poison, false);
    assert_int_equal(dead_letters(w, 0), 1);
    assert_int_equal(w->deaths, MAX_DELIVERIES + 1);
}

static void dies_of(struct world *w, enum kind kind) {
    char poison[32], after[32];
    publish(w, 0, kind, poison);
    publish(w, 0, GOOD, after);
    while (dead_letters(w, 0) == 0) supervise(w);
    assert_true(is_dead_letter(w, 0, poison));
    await_pending(w, 0, after, false);
}

static void that_it_waited_before_does_not_save_it(void **state) {
    dies_of(*state, SLEEPER);
}

static void nor_that_it_killed_while_it_was_computed(void **state) {
    dies_of(*state, MISLED);
}

/* The workers are killed from outside, again and again, while the entry waits; others of its lane are settled
 * meanwhile. */
static void what_waits_while_workers_are_killed_is_delivered(void **state) {
    struct world *w = *state;
    char waiting[32], other[32];
    int64_t before = 0;
    publish(w, 0, WAITING, waiting);
    while (w->deaths < MAX_DELIVERIES + 5) {
        bool held = false;
        int64_t now = 0;
        /* A suspect's number is back at what it was before. */
        while (!group_exists(w) || !held || (now > 3 && now > before)) {
            supervise(w);
            if (group_exists(w)) now = deliveries(w, 0, waiting, &held);
        }
        before = now;
        kill_worker(w);
        if (w->deaths == 1) publish(w, 0, GOOD, other);
    }
    assert_false(is_pending(w, 0, other));
    freeReplyObject(ask(w, "SET open 1"));
    await_pending(w, 0, waiting, false);
    assert_int_equal(dead_letters(w, 0), 0);
}

static void nobody_is_convicted_while_nothing_else_is_settled(void **state) {
    struct world *w = *state;
    char poison[32], skipped[32], after[32];
    publish(w, 0, POISON, poison);
    while (w->deaths < MAX_DELIVERIES + 4) supervise(w);
    assert_int_equal(dead_letters(w, 0), 0);
    publish_to(w, 0, GOOD, "another", skipped); /* it is acknowledged, and nothing was done for it */
    await_pending(w, 0, skipped, false);
    while (w->deaths < MAX_DELIVERIES + 8) supervise(w);
    assert_int_equal(dead_letters(w, 0), 0);
    publish(w, 0, GOOD, after);
    while (dead_letters(w, 0) == 0) supervise(w);
    assert_true(is_dead_letter(w, 0, poison));
}

/* Suspects of two lanes, which come up at the same moment: one kills at once, the other takes a while. */
static void the_poison_of_another_lane_costs_no_innocent(void **state) {
    struct world *w = *state;
    char innocent[32], after[32], poison[32], after_poison[32];
    make_groups(w);
    publish(w, 0, COMPUTED, innocent);
    publish(w, 0, GOOD, after);
    publish(w, 1, POISON, poison);
    publish(w, 1, GOOD, after_poison);
    deliver_all(w);
    freeReplyObject(ask(w, "XACK chunks:{0} " GROUP " %s", after));
    freeReplyObject(ask(w, "XACK chunks:{1} " GROUP " %s", after_poison));
    hand_to_the_dead(w, 0, innocent, 3);
    hand_to_the_dead(w, 1, poison, 3);
    while (dead_letters(w, 1) == 0) supervise(w);
    await_pending(w, 0, innocent, false);
    assert_int_equal(dead_letters(w, 0), 0);
    assert_int_equal(w->deaths, MAX_DELIVERIES - 3 + 1);
}

/* A suspect behind others that are none is not in their batch. */
static void a_suspect_is_never_part_of_a_batch(void **state) {
    struct world *w = *state;
    char first[32], suspect[32];
    bool held;
    make_groups(w);
    publish(w, 0, WAITING, first);
    publish(w, 0, GOOD, suspect);
    deliver_all(w);
    hand_to_the_dead(w, 0, first, 1);
    hand_to_the_dead(w, 0, suspect, 3);
    do supervise(w);
    while (deliveries(w, 0, first, &held) == 1);
    assert_int_equal(deliveries(w, 0, suspect, &held), 3);
    assert_false(held);
    freeReplyObject(ask(w, "SET open 1"));
    kill_worker(w);
    await_pending(w, 0, first, false);
    await_pending(w, 0, suspect, false);
}

static bool has_joined(struct world *w, pid_t worker) {
    char name[32];
    redisReply *r = ask(w, "XINFO CONSUMERS chunks:{0} " GROUP);
    bool found = false;
    snprintf(name, sizeof name, "worker-%ld", (long)worker);
    for (size_t i = 0; i < r->elements; i++)
        found = found || strcmp(r->element[i]->element[1]->str, name) == 0;
    freeReplyObject(r);
    return found;
}

/* Whoever ends in their first second, whatever for, has no suspect in hand. */
static void a_loop_of_crashes_at_the_start_counts_for_nobody(void **state) {
    struct world *w = *state;
    char innocent[32], other[32];
    bool held;
    make_groups(w);
    publish(w, 0, COMPUTED, innocent);
    deliver_all(w);
    hand_to_the_dead(w, 0, innocent, 3);
    for (int in_time = 0; in_time < 5;) {
        int64_t started_ms = now_ms();
        publish(w, 0, GOOD, other); /* for 7.0, to which who finds nothing has not joined */
        do supervise(w);
        while (!has_joined(w, w->worker) && now_ms() - started_ms < 1000);
        kill_worker(w);
        if (now_ms() - started_ms >= 1000) {
            hand_to_the_dead(w, 0, innocent, 3); /* it was too slow to tell */
            continue;
        }
        in_time++;
        assert_int_equal(deliveries(w, 0, innocent, &held), 3);
    }
    await_pending(w, 0, innocent, false);
}

#define RUNTIME_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RUNTIME_TEST(what_kills_its_workers_ends_as_a_dead_letter),
        RUNTIME_TEST(that_it_waited_before_does_not_save_it),
        RUNTIME_TEST(nor_that_it_killed_while_it_was_computed),
        RUNTIME_TEST(what_waits_while_workers_are_killed_is_delivered),
        RUNTIME_TEST(nobody_is_convicted_while_nothing_else_is_settled),
        RUNTIME_TEST(the_poison_of_another_lane_costs_no_innocent),
        RUNTIME_TEST(a_suspect_is_never_part_of_a_batch),
        RUNTIME_TEST(a_loop_of_crashes_at_the_start_counts_for_nobody),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
