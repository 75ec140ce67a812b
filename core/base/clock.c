/* Clocks, backoff, and cheap random bits. */
#include "core/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

int64_t clock_mono_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t followed_clock_ms(const struct followed_clock *c, int64_t now_ns) {
    return c->base_ms == 0 ? 0 : c->base_ms + (now_ns - c->base_ns) / NS_PER_MS;
}

bool followed_clock_sample(struct followed_clock *c, int64_t asked_ns, int64_t now_ns, int64_t other_ms,
                           int64_t *ahead_ms) {
    *ahead_ms = 0;
    if (now_ns - asked_ns > FOLLOWED_SAMPLE_MAX_NS) return false;
    int64_t there_ms = other_ms + (now_ns - asked_ns) / 2 / NS_PER_MS, here_ms = followed_clock_ms(c, now_ns);
    if (here_ms != 0) *ahead_ms = there_ms - here_ms;
    if (*ahead_ms >= -FOLLOWED_BACK_MAX_MS) *c = (struct followed_clock){there_ms, now_ns};
    return true;
}

int64_t clock_mono_coarse_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms) {
    if (base_ms < 1) base_ms = 1;
    int64_t high = base_ms;
    for (; attempt && high < cap_ms; attempt--) high = high > INT64_MAX / 2 ? INT64_MAX : high * 2;
    if (high > cap_ms) high = cap_ms;
    int64_t low = base_ms / 2;
    if (high <= low) return low;
    return low + (int64_t)(random_u64() % ((uint64_t)(high - low) + 1));
}

/* The kernel's bits, fetched 256 bytes at a time (the maximum that getrandom never cuts short), a pool for each
 * thread. */
uint64_t random_u64(void) {
    static _Thread_local uint64_t pool[32];
    static _Thread_local unsigned left;
    if (left == 0) {
        ssize_t got;
        do {
            got = getrandom(pool, sizeof(pool), 0);
        } while (got < 0 && errno == EINTR);
        if (got != (ssize_t)sizeof(pool)) {
            fputs("no random numbers from the kernel\n", stderr);
            abort();
        }
        left = sizeof(pool) / sizeof(pool[0]);
    }
    return pool[--left];
}
