/* Time. Wall time is for what people and ids see, monotonic time for deadlines and durations. */
#ifndef ROOKERY_CORE_BASE_CLOCK_H
#define ROOKERY_CORE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_wall_ms(void); /* since 1970-01-01T00:00:00Z */
int64_t clock_mono_ns(void);
/* The same as of the kernel's last tick: at most CLOCK_COARSE_NS ago, for a fifth of the price. For what is asked several times
 * a call and must be true of this moment, as loop_now_ns() is not after a pause of the process. */
int64_t clock_mono_coarse_ns(void);
#define CLOCK_COARSE_NS (10 * NS_PER_MS)

/* Exponential backoff with full jitter: a random time in [base/2, min(cap, base * 2^attempt)] ms, attempt
 * from 0. */
int64_t backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms);

/* Random bits, not for secrets (those come from libsodium). */
uint64_t random_u64(void);

/* A clock that follows another machine's: sampled now and then, counted on by the monotonic clock, so that no step of our own wall
 * clock is ever seen. It goes back by FOLLOWED_BACK_MAX_MS at most, so as to be slowed down; a clock that is set back further is
 * not followed there: this one goes on as it was. Zeroed: not set. */
struct followed_clock {
    int64_t base_ms, base_ns; /* it showed base_ms when the monotonic clock showed base_ns */
};
/* The other clock showed other_ms at some moment between asked_ns and now_ns (monotonic). Returns by how many ms it was ahead of this
 * one (negative: behind); 0 at the first sample. A sample that took longer than FOLLOWED_SAMPLE_MAX_NS is too vague to be used: false. */
#define FOLLOWED_SAMPLE_MAX_NS INT64_C(1000000000)
#define FOLLOWED_BACK_MAX_MS 500
bool followed_clock_sample(struct followed_clock *c, int64_t asked_ns, int64_t now_ns, int64_t other_ms,
                           int64_t *ahead_ms);
int64_t followed_clock_ms(const struct followed_clock *c, int64_t now_ns); /* 0 before the first sample */

#endif
