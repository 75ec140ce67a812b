/* Metrics in Prometheus's text format (version 0.0.4).
 *
 * A registry is passed, never global. Series are made at start or at first use and live as long as the registry;
 * handles are plain structs whose counts the loop thread changes without locks. At most 2,000 series: beyond that a
 * shared "overflow" series is returned, since a label that a peer controls is a bug.
 */
#ifndef ROOKERY_CORE_BASE_METRICS_H
#define ROOKERY_CORE_BASE_METRICS_H

#include <stdint.h>

#include "core/base/str.h"

struct metrics;

struct counter {
    uint64_t value; /* never decreases */
};

struct gauge {
    double value;
};

/* Latency: fixed buckets in seconds: 100 us, 250 us, 500 us, 1 ms ... 10 s, +Inf. */
#define HISTOGRAM_BUCKETS 16
struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS + 1];
    double sum;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* Returns the series name{labels}: the same handle for the same name and labels; never NULL. name and help are
 * borrowed (literals). labels is the text between the braces, such as "method=\"GetPost\",code=\"OK\""; copied; ""
 * for none. */
struct counter *metrics_counter(struct metrics *m, const char *name, const char *help, const char *labels);
struct gauge *metrics_gauge(struct metrics *m, const char *name, const char *help, const char *labels);
struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const char *labels);
/* A histogram of sizes: buckets 1, 2, 4 ... 32768, +Inf. */
struct histogram *metrics_size_histogram(struct metrics *m, const char *name, const char *help,
                                         const char *labels);

/* m must be the registry that made h: it knows h's buckets. Asserted. */
void histogram_observe(struct histogram *h, double seconds_or_size, struct metrics *m);

/* fn refreshes gauges; it is called just before they are printed. */
void metrics_on_scrape(struct metrics *m, void (*fn)(void *arg), void *arg);
/* Undoes it, if it was done. */
void metrics_off_scrape(struct metrics *m, void (*fn)(void *arg), void *arg);

/* Appends the whole page; families sorted by name. */
void metrics_write(struct metrics *m, struct buf *out);

#endif
