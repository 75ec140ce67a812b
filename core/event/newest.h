/* Which epoch is the newest, according to SQL: one question for all callers that want to know at the moment.
 *
 * Happy path:
 *   1. newest_ask: the caller, which has just committed something, gets the number of the next question that will be
 *      sent.
 *   2. A fiber sends questions, one at a time, as long as a caller wants an answer. So under load one question
 *      answers all callers that asked while the question before was in flight.
 *   3. newest_wait: until that question, or a later one, has been answered.
 * So all that the caller did before 1 was done before SQL answered. Between 1 and 3 the caller may do other things,
 * such as publishing what it committed; the answer may then be there already at 3.
 * Failures: SQL does not answer: all callers that wait for that question get its error, and ask again or give up.
 * tests/models/epochs.pml has the question in it.
 */
#ifndef ROOKERY_CORE_EVENT_NEWEST_H
#define ROOKERY_CORE_EVENT_NEWEST_H

#include "core/domain/domain.h"

struct newest;

struct newest_epoch {
    int64_t epoch;    /* 0: there is none */
    bool superseded;  /* it was abandoned: no process has a Redis */
    int64_t young_ms; /* ms until every process knows it; 0: all do */
};

/* Starts the fiber that sends questions. Returns NULL on allocation failure. */
struct newest *newest_start(struct domain *d, int64_t known_within_ms);
/* Callers that still wait get ERR_UNAVAILABLE. */
void newest_stop(struct fiber *self, struct newest *n);
uint64_t newest_ask(struct newest *n);
/* Returns 0 and *out; or pg_exec's error, or the fiber's interrupt. */
int newest_wait(struct fiber *self, struct newest *n, uint64_t question, struct newest_epoch *out);

#endif
