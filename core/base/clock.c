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

int64_t backoff_ms(unsigned attempt, int64_t base_ms, int64_t cap_ms) {
    if (base_ms < 1) base_ms = 1;
    int64_t high = base_ms;
    for (; attempt && high < cap_ms; attempt--) high = high > INT64_MAX / 2 ? INT64_MAX : high * 2;
    if (high > cap_ms) high = cap_ms;
    int64_t low = base_ms / 2;
    if (high <= low) return low;
    return low + (int64_t)(random_u64() % ((uint64_t)(high - low) + 1));
}

/* The kernel's bits, fetched 256 bytes at a time (the most that getrandom never cuts short), a pool for each
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
