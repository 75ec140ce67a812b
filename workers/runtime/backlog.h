/* The backlog: changes that have been committed and whose effects are not done yet.
 *
 * A role's backlog is lag + pending + unpublished: entries of its streams that have not been delivered to its group;
 * entries that were delivered to a worker and are not acknowledged; and, for roles that read the event streams,
 * outbox rows that their gateway should have published by now and has not. This sum says how much work there is (and
 * so how many workers are wanted). Redis's lag alone does not: it leaves out entries that workers hold, and events
 * that are not in Redis yet.
 *
 * Redis's own lag (XINFO GROUPS) has two flaws. It is nil when Redis does not know it: after entries were deleted, or
 * when a group was set to a place in the middle. It is too high when entries were trimmed that the group had not
 * read, since it is the difference of two counts of entries ever added. So the lag is found like this:
 *   - A group that has read the newest entry has no lag.
 *   - A group that stands before the oldest entry still there lags by the whole stream.
 *   - In between Redis's figure is used. If that is nil, entries are counted, up to BACKLOG_COUNT_MAX. If there are
 *     more, the stream's length is used, which is an upper bound, and `exact` is false.
 */
#ifndef ROOKERY_WORKERS_RUNTIME_BACKLOG_H
#define ROOKERY_WORKERS_RUNTIME_BACKLOG_H

#include "workers/runtime/runtime.h"

#define BACKLOG_COUNT_MAX 10000

struct role_backlog {
    const struct role *role;
    int64_t lag, pending, unpublished;
    int64_t entries; /* the three together */
    /* Since the oldest of them was published, or written if it is unpublished; 0 when there is none. */
    int64_t oldest_age_ms;
    bool exact;
};

struct backlog {
    struct role_backlog *roles; /* every role there is, in their table's order; in the fiber's arena */
    size_t n;
    int64_t unpublished; /* outbox rows; counted up to a million */
    int64_t dead_letters;
};

/* Asks PostgreSQL and Redis. Returns 0, or an error with a sentence. */
int backlog_measure(struct fiber *self, struct domain *d, struct backlog *out, struct fault *fault);

/* ---- on /metrics --------------------------------------------------------------------------------------- */

struct backlog_gauges;

/* Gauges of the whole system. Every worker shows the same, so a query takes their maximum, not their sum. */
struct backlog_gauges *backlog_gauges_new(struct metrics *m);
void backlog_gauges_free(struct backlog_gauges *g);
/* Measures, if the last measurement is more than a second old. Figures that cannot be measured within a second are
 * NaN. */
void backlog_gauges_refresh(struct fiber *self, struct domain *d, struct backlog_gauges *g);

/* ---- waiting for it ------------------------------------------------------------------------------------ */

/* Waits until the events of everything that was committed before the call have had their effect on home timelines (in
 * the roles that feed them). Returns 0, or ERR_DEADLINE_EXCEEDED, with a sentence, when that takes longer than
 * limit_ms. */
int backlog_settle(struct fiber *self, struct domain *d, int64_t limit_ms, struct fault *fault);
/* Waits until every role that reads the outbox's streams, and every other group on them, has processed everything
 * that is on them now. Returns 0, ERR_DEADLINE_EXCEEDED, or an error of Redis. */
int backlog_await_processed(struct fiber *self, struct domain *d, int64_t limit_ms);

#endif
