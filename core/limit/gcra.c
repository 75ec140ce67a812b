/* GCRA: see gcra.h. interval_ns * burst is at most some hours, so sums with the monotonic time do not overflow. */
#include "core/limit/gcra.h"

#include <assert.h>

#include "core/base/clock.h"

#define N_MAX INT64_C(1000000000)
#define WINDOW_MAX_NS (INT64_C(1000) * 3600 * NS_PER_S)

struct rate rate_of(int64_t n, int64_t period_s, int64_t periods) {
    assert(n >= 1 && n <= N_MAX && period_s >= 1 && period_s <= 86400 && periods >= 1 && periods <= 1000);
    int64_t interval_ns = period_s * NS_PER_S / n;
    struct rate r = {.interval_ns = interval_ns > 0 ? interval_ns : 1, .burst = n * periods};
    assert(r.interval_ns <= WINDOW_MAX_NS / r.burst);
    return r;
}

/* The state after one more call. */
static int64_t next(int64_t state, struct rate r, int64_t now_ns) {
    assert(r.interval_ns > 0 && r.burst > 0 && now_ns >= 0);
    return (state > now_ns ? state : now_ns) + r.interval_ns;
}

int64_t gcra_wait(int64_t state, struct rate r, int64_t now_ns) {
    int64_t ahead_ns = next(state, r, now_ns) - now_ns, most_ns = r.interval_ns * r.burst;
    return ahead_ns > most_ns ? ahead_ns - most_ns : 0;
}

int64_t gcra_take(int64_t *state, struct rate r, int64_t now_ns) {
    int64_t wait_ns = gcra_wait(*state, r, now_ns);
    if (wait_ns == 0) *state = next(*state, r, now_ns);
    return wait_ns;
}

void gcra_give_back(int64_t *state, struct rate r) {
    *state -= r.interval_ns;
}
