/* Limits by account and by network: see limit.h. A table by account and one by network have a state for each limit; the
 * networks around others are keys of the second, too (their numbers are different). */
#include "gateway/limit/limit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/http/network.h"
#include "core/limit/limit.h"

#define REPORT_MS 60000
#define MORE_MAX 4

static const struct {
    const char *name, *what;
    int64_t period_s, periods;
    size_t member; /* of struct config */
    bool by_account;
} TABLE[LIMITS] = {
#define X(name_, member_, period_s_, periods_, by_account_, what_)                                           \
    [LIMIT_##name_] = {                                                                                      \
        .name = #member_,                                                                                    \
        .what = what_,                                                                                       \
        .period_s = period_s_,                                                                               \
        .periods = periods_,                                                                                 \
        .member = offsetof(struct config, member_),                                                          \
        .by_account = by_account_,                                                                           \
    },
    LIMIT_TABLE(X)
#undef X
};

/* A count that is reported: what was refused. */
struct reported {
    const char *name;
    const struct counter *counter;
    uint64_t before;
};

struct limits {
    struct gateway *gateway;
    struct limit_table *accounts, *networks;
    struct rate rates[LIMITS], around[LIMITS];
    struct counter *refused[LIMITS];
    struct reported reported[LIMITS + MORE_MAX];
    size_t n_reported;
    struct fiber *reporter;
    struct latch reporter_left;
};

static int64_t number_of(enum limit which, const struct config *c) {
    return *(const int64_t *)(const void *)((const char *)c + TABLE[which].member);
}

const char *limit_what(enum limit which) {
    return TABLE[which].what;
}

bool limit_is_by_account(enum limit which) {
    return TABLE[which].by_account;
}

static const char *period_of(enum limit which) {
    int64_t s = TABLE[which].period_s;
    assert(s == 1 || s == 60 || s == 3600);
    return s == 1 ? "a second" : s == 60 ? "a minute" : "an hour";
}

void limit_describe(enum limit which, const struct config *c, char *out, size_t size) {
    int64_t n = number_of(which, c);
    snprintf(out, size, "%" PRId64 " %s, %" PRId64 " in one go", n, period_of(which),
             n * TABLE[which].periods);
}

/* ---- once a minute ------------------------------------------------------------------------------------- */

void limits_report(struct limits *l, const char *name, const struct counter *counter) {
    assert(l->n_reported < sizeof l->reported / sizeof *l->reported);
    l->reported[l->n_reported++] = (struct reported){.name = name, .counter = counter};
}

static void report(struct limits *l) {
    struct log_field fields[sizeof l->reported / sizeof *l->reported + 1];
    size_t n = 0;
    for (struct reported *r = l->reported; r < l->reported + l->n_reported; r++) {
        uint64_t refused = r->counter->value - r->before;
        r->before += refused;
        if (refused > 0) fields[n++] = LOG_I(r->name, refused);
    }
    fields[n] = (struct log_field){.kind = LOG_FIELD_END};
    if (n > 0) log_write(l->gateway->domain.log, LOG_WARN, "calls refused by limits in a minute", fields);
}

static void report_on(struct fiber *self, void *arg) {
    struct limits *l = arg;
    while (fiber_sleep_ms(self, REPORT_MS) == 0) report(l);
    report(l);
    latch_done(&l->reporter_left);
}

/* ---- begin and end ------------------------------------------------------------------------------------- */

static void set_rates(struct limits *l, const struct config *c) {
    for (int which = LIMIT_NONE + 1; which < LIMITS; which++) {
        int64_t n = number_of((enum limit)which, c);
        l->rates[which] = rate_of(n, TABLE[which].period_s, TABLE[which].periods);
        l->around[which] = rate_of(LIMIT_AROUND * n, TABLE[which].period_s, TABLE[which].periods);
        char labels[64];
        snprintf(labels, sizeof labels, "limit=\"%s\"", TABLE[which].name + sizeof "limit_" - 1);
        l->refused[which] = metrics_counter(l->gateway->domain.metrics, "rookery_limit_refusals_total",
                                            "Calls refused by a limit of an account or a network", labels);
        limits_report(l, TABLE[which].name, l->refused[which]);
    }
}

static void free_tables(struct limits *l) {
    limit_table_free(l->accounts);
    limit_table_free(l->networks);
    free(l);
}

struct limits *limits_new(struct gateway *g) {
    struct limits *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->gateway = g;
    l->accounts = limit_table_new(LIMIT_KEYS, LIMITS);
    l->networks = limit_table_new(LIMIT_KEYS, LIMITS);
    latch_init(&l->reporter_left, 1);
    set_rates(l, g->domain.config);
    struct fiber_options options = {.name = "limits"};
    if (l->accounts && l->networks && fiber_spawn(g->domain.loop, &options, report_on, l, &l->reporter) == 0)
        return l;
    free_tables(l);
    return NULL;
}

void limits_free(struct fiber *self, struct limits *l) {
    if (!l) return;
    fiber_cancel(l->reporter);
    latch_wait(self, &l->reporter_left);
    free_tables(l);
}

/* ---- taking -------------------------------------------------------------------------------------------- */

static int refuse(struct limits *l, enum limit which, int64_t wait_ns, struct fault *fault) {
    l->refused[which]->value++;
    fault_set(fault, ERR_RESOURCE_EXHAUSTED, "too many %s %s: at most %" PRId64 " %s; try again later",
              TABLE[which].what, TABLE[which].by_account ? "by this account" : "from this network",
              number_of(which, l->gateway->domain.config), period_of(which));
    fault->retry_after_ms = wait_ns / NS_PER_MS + 1;
    return ERR_RESOURCE_EXHAUSTED;
}

static int64_t now_ns(const struct limits *l) {
    return loop_now_ns(l->gateway->domain.loop);
}

int limits_account(struct limits *l, enum limit which, int64_t account, struct fault *fault) {
    if (which == LIMIT_NONE) return 0;
    assert(which < LIMITS && TABLE[which].by_account);
    int64_t *states = limit_table_use(l->accounts, (uint64_t)account);
    int64_t wait_ns = gcra_take(&states[which], l->rates[which], now_ns(l));
    return wait_ns == 0 ? 0 : refuse(l, which, wait_ns, fault);
}

/* The network around it first: one that has many networks does not get a row for each. */
int limits_network(struct limits *l, enum limit which, uint64_t network, struct fault *fault) {
    assert(which != LIMIT_NONE && which < LIMITS && !TABLE[which].by_account);
    uint64_t around;
    bool has_around = network_around(network, &around);
    int64_t wait_ns = 0;
    if (has_around)
        wait_ns = gcra_take(&limit_table_use(l->networks, around)[which], l->around[which], now_ns(l));
    if (wait_ns == 0) {
        wait_ns = gcra_take(&limit_table_use(l->networks, network)[which], l->rates[which], now_ns(l));
        if (wait_ns > 0 && has_around)
            gcra_give_back(&limit_table_use(l->networks, around)[which], l->around[which]);
    }
    return wait_ns == 0 ? 0 : refuse(l, which, wait_ns, fault);
}

static int64_t wait_of(struct limits *l, enum limit which, uint64_t key, struct rate rate) {
    const int64_t *states = limit_table_find(l->networks, key);
    return states ? gcra_wait(states[which], rate, now_ns(l)) : 0;
}

int limits_network_peek(struct limits *l, enum limit which, uint64_t network, struct fault *fault) {
    uint64_t around;
    int64_t wait_ns = wait_of(l, which, network, l->rates[which]);
    if (wait_ns == 0 && network_around(network, &around))
        wait_ns = wait_of(l, which, around, l->around[which]);
    return wait_ns == 0 ? 0 : refuse(l, which, wait_ns, fault);
}

void limits_account_give_back(struct limits *l, enum limit which, int64_t account) {
    int64_t *states = limit_table_find(l->accounts, (uint64_t)account);
    if (states) gcra_give_back(&states[which], l->rates[which]);
}

void limits_network_give_back(struct limits *l, enum limit which, uint64_t network) {
    uint64_t around;
    int64_t *states = limit_table_find(l->networks, network);
    if (states) gcra_give_back(&states[which], l->rates[which]);
    if (!network_around(network, &around)) return;
    states = limit_table_find(l->networks, around);
    if (states) gcra_give_back(&states[which], l->around[which]);
}
