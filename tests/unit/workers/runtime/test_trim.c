/* What is trimmed from a stream, and when everything on it counts as processed: by the groups that exist, those that
 * this program does not know among them; by Redis's clock, whatever this process's is. Against a real Redis whose
 * streams are cut at any entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/fibers.h"
#include "tests/unit/support/redis_server.h"
#include "workers/roles.h"
#include "workers/runtime/backlog.h"
#include "workers/runtime/trim.h"

/* This process's wall clock is so far off: stands in for libc's, for all that is linked here. Redis has its own. */
static time_t off_s;

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off_s;
    return status;
}

struct world {
    struct redis_server *server;
    void (*fn)(struct fiber *self, struct world *w);
    struct config config;
    struct worker worker;
    int log[2]; /* a pipe */
};

static void in_world(struct fiber *self, void *arg) {
    struct world *w = arg;
    struct domain *d = &w->worker.domain;
    CHECK_INT(pipe(w->log), 0);
    w->config.partitions = 1;
    d->config = &w->config;
    d->loop = fiber_loop(self);
    d->log = log_new("test", LOG_INFO, w->log[1]);
    d->redis = redis_open(d->loop, w->server->url, "test", NULL, NULL);
    CHECK_INT(redis_wait_ready(self, d->redis), 0);
    CHECK_INT(redis_call(self, d->redis, NULL, "FLUSHALL"), 0);
    w->fn(self, w);
    redis_close(self, d->redis);
    log_free(d->log);
    close(w->log[0]);
    close(w->log[1]);
}

#define TEST(name)                                                                                           \
    static void name##_body(struct fiber *self, struct world *w);                                            \
    static void name(void **state) {                                                                         \
        struct world w = {.server = *state, .fn = name##_body};                                              \
        run_in_fiber(in_world, &w);                                                                          \
    }                                                                                                        \
    static void name##_body(struct fiber *self, struct world *w)

static int server_setup(void **state) {
    char *one_entry_a_node[] = {"--stream-node-max-entries", "1", NULL};
    struct redis_server *s = calloc(1, sizeof *s);
    redis_server_start(s, one_entry_a_node);
    *state = s;
    return 0;
}

static int64_t ask(struct fiber *self, struct world *w, const char *command) {
    const struct redis_reply *r;
    CHECK_INT(redis_call(self, w->worker.domain.redis, &r, "%s", command), 0);
    return r->integer;
}

/* Four entries long ago and one of now, on the event stream and the group fanout's and counts' place before them. */
static void make_stream(struct fiber *self, struct world *w) {
    char command[64];
    ask(self, w, "XGROUP CREATE events:{0} fanout 0 MKSTREAM");
    ask(self, w, "XGROUP CREATE events:{0} counts 0");
    for (int ms = 1000; ms <= 4000; ms += 1000) {
        snprintf(command, sizeof command, "XADD events:{0} %d-7 e x", ms);
        ask(self, w, command);
    }
    ask(self, w, "XADD events:{0} * e x");
}

/* The group is given so many entries, and acknowledges them, up to the last but `keep`. */
static void process(struct fiber *self, struct world *w, const char *group, int give, int keep) {
    char command[128];
    snprintf(command, sizeof command, "XREADGROUP GROUP %s me COUNT %d STREAMS events:{0} >", group, give);
    ask(self, w, command);
    for (int i = 1; i <= give - keep; i++) {
        snprintf(command, sizeof command, "XACK events:{0} %s %d-7", group, i * 1000);
        ask(self, w, command);
    }
}

/* The oldest entry's ms (those of now: -1) and how many there are. */
static int64_t oldest(struct fiber *self, struct world *w) {
    const struct redis_reply *r;
    CHECK_INT(redis_call(self, w->worker.domain.redis, &r, "XRANGE events:{0} - + COUNT 1"), 0);
    int64_t ms = 0;
    struct str id = r->elements > 0 ? r->element[0].element[0].str : STR("0-0");
    CHECK(str_to_i64(str_cut(&id, '-'), &ms));
    return ms > 10000 ? -1 : ms;
}

static struct str logged(struct fiber *self, struct world *w) {
    char *text = arena_alloc(fiber_arena(self), 4096);
    log_info(w->worker.domain.log, "end"); /* so that there is something to read */
    ssize_t n = read(w->log[0], text, 4095);
    text[n > 0 ? n : 0] = '\0';
    return str_from(text);
}

TEST(what_all_groups_have_acknowledged_goes_but_for_the_last_minute) {
    make_stream(self, w);
    ask(self, w, "XADD events:{0} * e x");
    ask(self, w, "XGROUP SETID events:{0} fanout $");
    ask(self, w, "XGROUP SETID events:{0} counts $");
    trim_streams(self, &w->worker);
    CHECK_INT(oldest(self, w), -1);
    CHECK_INT(ask(self, w, "XLEN events:{0}"), 2);
    CHECK(strstr(logged(self, w).ptr, "role tables differ") == NULL);
}

TEST(a_leader_s_clock_that_is_wrong_trims_neither_more_nor_less) {
    const time_t steps_s[] = {3600, -time(NULL)};
    for (size_t i = 0; i < sizeof steps_s / sizeof *steps_s; i++) {
        ask(self, w, "DEL events:{0}");
        make_stream(self, w);
        ask(self, w, "XADD events:{0} * e x");
        ask(self, w, "XGROUP SETID events:{0} fanout $");
        ask(self, w, "XGROUP SETID events:{0} counts $");
        off_s = steps_s[i];
        trim_streams(self, &w->worker);
        off_s = 0;
        CHECK_INT(oldest(self, w), -1);
        CHECK_INT(ask(self, w, "XLEN events:{0}"), 2);
    }
}

TEST(what_a_group_has_pending_stays_and_what_follows_it) {
    make_stream(self, w);
    process(self, w, "fanout", 5, 1);
    process(self, w, "counts", 4, 2);
    trim_streams(self, &w->worker);
    CHECK_INT(oldest(self, w), 3000);
}

TEST(nothing_goes_before_every_role_has_its_group) {
    make_stream(self, w);
    process(self, w, "fanout", 5, 1);
    ask(self, w, "XGROUP DESTROY events:{0} counts");
    trim_streams(self, &w->worker);
    CHECK_INT(oldest(self, w), 1000);
}

TEST(a_group_of_another_program_is_waited_for_and_told_of_once) {
    make_stream(self, w);
    process(self, w, "fanout", 5, 1);
    process(self, w, "counts", 5, 1);
    ask(self, w, "XGROUP CREATE events:{0} role_of_tomorrow 0");
    trim_streams(self, &w->worker);
    CHECK_INT(oldest(self, w), 1000);
    const char *warning = strstr(logged(self, w).ptr, "role tables differ");
    CHECK(warning != NULL && strstr(warning, "role_of_tomorrow") != NULL);
    process(self, w, "role_of_tomorrow", 4, 1);
    trim_streams(self, &w->worker);
    CHECK_INT(oldest(self, w), 4000);
    CHECK(strstr(logged(self, w).ptr, "role tables differ") == NULL);
}

TEST(all_is_processed_only_when_groups_of_other_programs_are_done_too) {
    struct domain *d = &w->worker.domain;
    ask(self, w, "XGROUP CREATE jobs:{0} jobs 0 MKSTREAM");
    make_stream(self, w);
    ask(self, w, "XGROUP CREATE events:{0} role_of_tomorrow 0");
    ask(self, w, "XGROUP SETID events:{0} fanout $");
    ask(self, w, "XGROUP SETID events:{0} counts $");
    CHECK_INT(backlog_await_processed(self, d, 50), ERR_DEADLINE_EXCEEDED);
    process(self, w, "role_of_tomorrow", 4, 1);
    ask(self, w, "XGROUP SETID events:{0} role_of_tomorrow $");
    CHECK_INT(backlog_await_processed(self, d, 50), ERR_DEADLINE_EXCEEDED);
    ask(self, w, "XACK events:{0} role_of_tomorrow 4000-7");
    CHECK_INT(backlog_await_processed(self, d, 10000), 0);
}

int main(void) {
    role_table_set(ROLES);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_all_groups_have_acknowledged_goes_but_for_the_last_minute),
        cmocka_unit_test(a_leader_s_clock_that_is_wrong_trims_neither_more_nor_less),
        cmocka_unit_test(what_a_group_has_pending_stays_and_what_follows_it),
        cmocka_unit_test(nothing_goes_before_every_role_has_its_group),
        cmocka_unit_test(a_group_of_another_program_is_waited_for_and_told_of_once),
        cmocka_unit_test(all_is_processed_only_when_groups_of_other_programs_are_done_too),
    };
    return cmocka_run_group_tests(tests, server_setup, redis_server_teardown);
}
