/* Which epoch is the newest, as SQL says: one question for everybody who wants to know at the moment.
 *
 * Happy path:
 *   1. newest_ask: the caller, who has just committed something, gets the number of the next question that will be sent.
 *   2. A fiber sends questions, one at a time, as long as somebody wants an answer: so under load one question answers
 *      everybody who came while the one before was under way.
 *   3. newest_wait: until that question, or a later one, has been answered.
 * So whatever the caller did before 1 was done before SQL answered. Between 1 and 3 the caller may do other things, such as
 * publishing what it committed: then the answer is there when it comes.
 * Failures: SQL does not answer: everybody who waits for that question gets its error, and asks again or gives up.
 * tests/models/epochs.pml has the question in it.
 */
#ifndef ROOKERY_CORE_EVENT_NEWEST_H
#define ROOKERY_CORE_EVENT_NEWEST_H

#include "core/domain/domain.h"

struct newest;

struct newest_epoch {
    int64_t epoch;    /* 0: there is none */
    bool superseded;  /* it was abandoned: nobody has a Redis */
    int64_t young_ms; /* until everybody knows it; 0: they do */
};

/* The question's fiber. NULL without memory. */
struct newest *newest_start(struct domain *d, int64_t known_within_ms);
/* Who still waits gets ERR_UNAVAILABLE. */
void newest_stop(struct fiber *self, struct newest *n);
uint64_t newest_ask(struct newest *n);
/* 0 and *out; or pg_exec's error, or the fiber's interrupt. */
int newest_wait(struct fiber *self, struct newest *n, uint64_t question, struct newest_epoch *out);

#endif
