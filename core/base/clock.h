/* Time. Wall time is for what people and ids see, monotonic time for deadlines and durations. */
#ifndef ROOKERY_CORE_BASE_CLOCK_H
#define ROOKERY_CORE_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_wall_ms(void); /* since 1970-01-01T00:00:00Z */
int64_t clock_mono_ns(void);

/* Exponential backoff with full jitter: a random time in [base/2, min(cap, base * 2^attempt)] ms, attempt
 * from 0. */
int64_t backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms);

/* Random bits, not for secrets (those come from libsodium). */
uint64_t random_u64(void);

#endif
