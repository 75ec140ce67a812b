/* The generic cell rate algorithm: a token bucket without a clock of its own, whose state is one number.
 *
 * The state is the time at which the bucket will be full again. A call moves it one interval further, counted from now
 * when it has passed. The call is refused when the state would then be further ahead than the bucket is large. So a
 * caller that was quiet may make `burst` calls in one go, and one more every interval.
 *
 * A state of 0 is a full bucket. What has passed is as good as 0: forgetting it changes nothing. Refused calls take
 * nothing, so a caller that goes on calling is served at the rate, not shut out.
 */
#ifndef ROOKERY_CORE_LIMIT_GCRA_H
#define ROOKERY_CORE_LIMIT_GCRA_H

#include <stdint.h>

struct rate {
    int64_t interval_ns; /* one call every so often in the long run */
    int64_t burst;       /* calls in one go after a pause */
};

/* n calls in each period of so many seconds, `periods` periods' worth in one go. All are at least 1, n at most 1e9. */
struct rate rate_of(int64_t n, int64_t period_s, int64_t periods);

/* Returns 0 when a call is allowed now, else after how many ns it would be. Takes nothing. */
int64_t gcra_wait(int64_t state, struct rate r, int64_t now_ns);
/* The same, and takes what it allows. */
int64_t gcra_take(int64_t *state, struct rate r, int64_t now_ns);
/* Undoes a take that was allowed: afterwards it is as if that call had not been made. */
void gcra_give_back(int64_t *state, struct rate r);

#endif
