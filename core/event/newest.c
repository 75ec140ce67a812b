/* Asking SQL for the newest epoch; the story is in newest.h. */
#include "core/event/newest.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/newest.sql.h"

/* One silent connection must not hold up all callers. */
#define LIMIT_MS 1000

struct newest {
    struct domain *domain;
    int64_t known_within_ms;
    uint64_t wanted, sent, answered; /* numbers of questions; the wanted one is the last sent, or the next */
    uint64_t known;                  /* the last that was answered without an error, and its answer */
    struct newest_epoch answer;
    int error; /* of the last that was answered */
    bool stopping;
    struct fiber *fiber;
    struct condition wake, answer_changed;
    struct latch stopped;
};

static int ask(struct fiber *self, struct newest *n) {
    struct pg_result *r;
    fiber_set_deadline_ns(self, clock_mono_ns() + LIMIT_MS * NS_PER_MS);
    int e = pg_ask(self, n->domain->pg, &EPOCH_NEWEST, &r, NULL, pg_f64((double)n->known_within_ms));
    fiber_set_deadline_ns(self, 0);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED)
        return ERR_UNAVAILABLE; /* not those of the callers */
    if (e != 0) return e;
    n->known = n->sent;
    n->answer = (struct newest_epoch){0};
    struct pg_row row = pg_read(r);
    if (!pg_next(&row)) return 0;
    n->answer.epoch = pg_take_i64(&row);
    n->answer.superseded = pg_take_bool(&row);
    n->answer.young_ms = pg_take_i64(&row);
    pg_end(&row);
    return 0;
}

static void run(struct fiber *self, void *arg) {
    struct newest *n = arg;
    while (!n->stopping) {
        if (n->wanted == n->sent) {
            if (condition_wait(self, &n->wake) != 0) break;
            continue;
        }
        n->sent++;
        assert(n->sent == n->wanted);
        n->error = ask(self, n);
        n->answered = n->sent;
        assert(n->answered <= n->wanted && n->wanted <= n->sent + 1);
        arena_reset(fiber_arena(self));
        condition_broadcast(&n->answer_changed);
    }
    n->stopping = true;
    condition_broadcast(&n->answer_changed);
    latch_done(&n->stopped);
}

struct newest *newest_start(struct domain *d, int64_t known_within_ms) {
    struct newest *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->domain = d;
    n->known_within_ms = known_within_ms;
    condition_init(&n->wake);
    condition_init(&n->answer_changed);
    latch_init(&n->stopped, 1);
    struct fiber_options options = {.name = "newest epoch"};
    if (fiber_spawn(d->loop, &options, run, n, &n->fiber) == 0) return n;
    free(n);
    return NULL;
}

void newest_stop(struct fiber *self, struct newest *n) {
    n->stopping = true;
    fiber_cancel(n->fiber); /* a question may be in flight */
    latch_wait(self, &n->stopped);
    free(n);
}

uint64_t newest_ask(struct newest *n) {
    n->wanted = n->sent + 1;
    condition_signal(&n->wake);
    return n->wanted;
}

int newest_wait(struct fiber *self, struct newest *n, uint64_t question, struct newest_epoch *out) {
    assert(question > 0 && question <= n->wanted); /* else no answer may ever come */
    while (n->answered < question) {
        if (n->stopping) return ERR_UNAVAILABLE;
        int e = condition_wait(self, &n->answer_changed);
        if (e != 0) return e;
    }
    *out = n->answer;
    return n->known >= question ? 0 : n->error; /* a later question may have failed */
}
