/* Time. Wall time is for what people and ids see, monotonic time for deadlines and durations. */
#ifndef ROOKERY_CORE_BASE_CLOCK_H
#define ROOKERY_CORE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_wall_ms(void); /* since 1970-01-01T00:00:00Z */
int64_t clock_mono_ns(void);
/* The monotonic time of the kernel's last tick: at most CLOCK_COARSE_NS ago, for a fifth of the price. For callers
 * that ask several times a call and need the present moment, which loop_now_ns() does not give after a pause of the
 * process. */
int64_t clock_mono_coarse_ns(void);
#define CLOCK_COARSE_NS (10 * NS_PER_MS)

/* Exponential backoff with full jitter: a random time in [base/2, min(cap, base * 2^attempt)] ms, attempt from 0. */
int64_t backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms);

/* Random bits, not for secrets (those come from libsodium). */
uint64_t random_u64(void);

/* A clock that follows another machine's. It is sampled now and then, and the monotonic clock counts on from the last
 * sample, so no step of our own wall clock shows in it. A sample may set it back by at most FOLLOWED_BACK_MAX_MS, to
 * slow it down. When the other clock is set back further, this one ignores that and goes on. Zeroed: not set. */
struct followed_clock {
    int64_t base_ms, base_ns; /* it showed base_ms when the monotonic clock showed base_ns */
};
/* The other clock showed other_ms at some moment between asked_ns and now_ns (monotonic). *ahead_ms is by how many ms
 * it was ahead of this clock (negative: behind); 0 at the first sample. Returns false, and does not use the sample,
 * when it took longer than FOLLOWED_SAMPLE_MAX_NS. */
#define FOLLOWED_SAMPLE_MAX_NS INT64_C(1000000000)
#define FOLLOWED_BACK_MAX_MS 500
bool followed_clock_sample(struct followed_clock *c, int64_t asked_ns, int64_t now_ns, int64_t other_ms,
                           int64_t *ahead_ms);
int64_t followed_clock_ms(const struct followed_clock *c, int64_t now_ns); /* 0 before the first sample */

#endif
