/* The backlog: what has been committed and has not had its effect yet.
 *
 * Of a role it is lag + pending + unpublished: entries of its streams that its group has not been given; entries
 * that were given to a worker and are not acknowledged; and, for roles that read the event streams, outbox rows that
 * their gateway should have published by now and has not. This, not Redis's lag alone, says how much work there is
 * (and so how many workers are wanted): the lag leaves out what is in hand and what Redis has never heard of.
 *
 * Redis's own lag (XINFO GROUPS) is nil when it does not know, which is after entries were deleted, or when a group was
 * set to a place in the middle; and it is too high when entries were trimmed that a group had not read, since it is the
 * difference of two counts of entries ever added. So it is not believed by itself: a group that has read
 * the newest entry has no lag; one that stands before the oldest entry still there has all of the stream before it; in
 * between Redis's figure is taken, and where there is none, entries are counted, BACKLOG_COUNT_MAX at most: beyond
 * that the stream's length stands in, which is an upper bound, and `exact` is false.
 */
#ifndef ROOKERY_WORKERS_RUNTIME_BACKLOG_H
#define ROOKERY_WORKERS_RUNTIME_BACKLOG_H

#include "workers/runtime/runtime.h"

#define BACKLOG_COUNT_MAX 10000

struct role_backlog {
    const struct role *role;
    int64_t lag, pending, unpublished;
    int64_t entries; /* the three together */
    int64_t
        oldest_age_ms; /* since the oldest of them was published, or written when it is not; 0 when there is none */
    bool exact;
};

struct backlog {
    struct role_backlog *roles; /* every role there is, in their table's order; in the fiber's arena */
    size_t n;
    int64_t unpublished; /* outbox rows; counted up to a million */
    int64_t dead_letters;
};

/* Asks PostgreSQL and Redis. 0, or an error with a sentence. */
int backlog_measure(struct fiber *self, struct domain *d, struct backlog *out, struct fault *fault);

/* ---- on /metrics --------------------------------------------------------------------------------------- */

struct backlog_gauges;

/* Gauges that tell of the whole system, whichever worker is asked: take their maximum, not their sum. */
struct backlog_gauges *backlog_gauges_new(struct metrics *m);
void backlog_gauges_free(struct backlog_gauges *g);
/* Measures, if the last time is more than a second ago. What cannot be measured within a second is NaN. */
void backlog_gauges_refresh(struct fiber *self, struct domain *d, struct backlog_gauges *g);

/* ---- waiting for it ------------------------------------------------------------------------------------ */

/* Waits until the events of everything that was committed before the call have had their effect on home timelines
 * (in the roles that feed them). 0; ERR_DEADLINE_EXCEEDED, with a sentence, when that takes longer than
 * limit_ms. */
int backlog_settle(struct fiber *self, struct domain *d, int64_t limit_ms, struct fault *fault);
/* Waits until every role that the outbox feeds, and every other group on the streams that it feeds, is done with all that is
 * on them now. 0, ERR_DEADLINE_EXCEEDED, or an error of Redis. */
int backlog_await_processed(struct fiber *self, struct domain *d, int64_t limit_ms);

#endif
