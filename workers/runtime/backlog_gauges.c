/* The backlog on /metrics: each worker measures it when it is scraped. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "workers/runtime/backlog.h"
#include "workers/runtime/role_table.h"

#define REFRESH_NS NS_PER_S
#define LIMIT_NS NS_PER_S

struct role_gauges {
    struct gauge *entries, *age, *lag, *pending;
};

struct backlog_gauges {
    struct gauge *unpublished, *dead_letters;
    int64_t measured_ns;
    size_t n;
    struct role_gauges roles[]; /* as in the table */
};

struct backlog_gauges *backlog_gauges_new(struct metrics *m) {
    size_t n = 0;
    while (role_table()[n]) n++;
    struct backlog_gauges *g = calloc(1, sizeof *g + n * sizeof g->roles[0]);
    if (!g) return NULL;
    for (; g->n < n; g->n++) {
        char labels[64];
        snprintf(labels, sizeof labels, "role=\"%s\"", role_table()[g->n]->name);
        g->roles[g->n] = (struct role_gauges){
            .entries =
                metrics_gauge(m, "rookery_backlog_entries",
                              "Backlog of the whole system: lag, pending and unpublished entries", labels),
            .age = metrics_gauge(m, "rookery_backlog_oldest_age_seconds",
                                 "Age of the oldest entry in the backlog of the whole system", labels),
            .lag = metrics_gauge(m, "rookery_backlog_lag_entries",
                                 "Entries of the whole system not yet delivered to a worker", labels),
            .pending = metrics_gauge(m, "rookery_backlog_pending_entries",
                                     "Entries of the whole system delivered to a worker and not acknowledged",
                                     labels),
        };
    }
    g->unpublished = metrics_gauge(m, "rookery_backlog_unpublished_entries",
                                   "Outbox rows of the whole system not yet published", "");
    g->dead_letters = metrics_gauge(m, "rookery_dead_letters_kept",
                                    "Dead letters of the whole system that wait for an operator", "");
    return g;
}

void backlog_gauges_free(struct backlog_gauges *g) {
    free(g);
}

static void set(struct backlog_gauges *g, const struct backlog *b) {
    assert(!b || b->n == g->n);
    for (size_t i = 0; i < g->n; i++) {
        g->roles[i].entries->value = b ? (double)b->roles[i].entries : NAN;
        g->roles[i].age->value = b ? (double)b->roles[i].oldest_age_ms / 1000 : NAN;
        g->roles[i].lag->value = b ? (double)b->roles[i].lag : NAN;
        g->roles[i].pending->value = b ? (double)b->roles[i].pending : NAN;
    }
    g->unpublished->value = b ? (double)b->unpublished : NAN;
    g->dead_letters->value = b ? (double)b->dead_letters : NAN;
}

void backlog_gauges_refresh(struct fiber *self, struct domain *d, struct backlog_gauges *g) {
    int64_t now_ns = clock_mono_ns(), own_ns = fiber_deadline_ns(self);
    struct backlog b;
    if (g->measured_ns != 0 && now_ns - g->measured_ns < REFRESH_NS) return;
    g->measured_ns = now_ns;
    if (own_ns == 0 || now_ns + LIMIT_NS < own_ns) fiber_set_deadline_ns(self, now_ns + LIMIT_NS);
    set(g, backlog_measure(self, d, &b, NULL) == 0 ? &b : NULL);
    fiber_set_deadline_ns(self, own_ns);
}
