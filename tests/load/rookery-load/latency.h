/* Latencies in buckets whose width grows with them: at most 1.6 % off, in 30 KiB, however many there are. */
#ifndef ROOKERY_TESTS_LOAD_LATENCY_H
#define ROOKERY_TESTS_LOAD_LATENCY_H

#include <stdint.h>

/* 64 buckets for each doubling, from 1 us to 2^35 us (ten hours). */
#define LATENCY_STEPS 64
#define LATENCY_BUCKETS (LATENCY_STEPS * 31)

struct latency {
    uint64_t count[LATENCY_BUCKETS];
    uint64_t n;
    int64_t max_us;
};

void latency_add(struct latency *l, int64_t us);
/* The latency that a share p (0 to 1) of them did not exceed, in microseconds; 0 when there are none. */
int64_t latency_percentile(const struct latency *l, double p);

#endif
