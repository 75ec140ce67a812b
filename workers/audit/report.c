/* What the audit prints. */
#include "workers/audit/report.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/domain/account/account.h"
#include "core/id/snowflake.h"
#include "workers/operator/console.h"

/* ---- differences --------------------------------------------------------------------------------------- */

static void author_of(const struct account_summary *authors, size_t n, int64_t id, char out[static 48]) {
    snprintf(out, 48, "%" PRId64, id);
    for (size_t i = 0; i < n; i++)
        if (authors[i].id == id) snprintf(out, 48, STR_FMT, STR_ARG(authors[i].handle));
}

/* "127.0.0.1:8080: page 1, page 5; 127.0.0.1:8081: whole" */
static void print_where(const struct audit_report *r, uint64_t where) {
    const char *between_gateways = "";
    for (size_t g = 0; g < r->n_gateways; g++) {
        const char *between = ": ";
        for (enum audit_place place = 0; place < AUDIT_PLACES; place++) {
            if (!(where & audit_where(g, place))) continue;
            if (between[0] == ':') printf("%s%s", between_gateways, r->gateways[g]);
            printf("%s%s", between, AUDIT_PLACE_NAMES[place]);
            between = ", ";
            between_gateways = "; ";
        }
    }
    putchar('\n');
}

static void print_account(struct audit_report *r, const struct audit_account *account,
                          const struct account_summary *authors, size_t n) {
    int64_t so_far = 0;
    for (int k = 0; k < AUDIT_KINDS; k++) so_far += r->differences[k];
    if (so_far == 0)
        printf("%-10s %-24s %-20s %-24s %-8s %-7s %s\n", "KIND", "ACCOUNT", "ENTRY", "AUTHOR", "AGE", "LOOKS",
               "SEEN");
    for (size_t i = 0; i < account->found.n; i++) {
        const struct audit_difference *d = &account->found.v[i];
        char author[48], age[AGE_MAX], looks[24];
        assert(d->looks > 0 && d->looks <= account->looks && d->steady <= d->looks);
        author_of(authors, n, d->entry.author_id, author);
        age_text(age, clock_wall_ms() - snowflake_time_ms(d->entry.id));
        snprintf(looks, sizeof looks, "%d of %d", d->looks, account->looks);
        printf("%-10s %-24.*s %-20" PRId64 " %-24s %-8s %-7s ", AUDIT_KIND_NAMES[d->kind],
               (int)account->handle.len, account->handle.ptr, d->entry.id, author, age, looks);
        print_where(r, d->where);
        r->differences[d->kind]++;
    }
}

/* Handles are optional: without them ids are printed. */
static void print_differences(struct fiber *self, struct domain *d, struct audit_report *r,
                              const struct audit_account *accounts, size_t n) {
    struct ids ids;
    ids_init(&ids);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < accounts[i].found.n; j++)
            ids_push(&ids, accounts[i].found.v[j].entry.author_id);
    if (ids.len > 0) {
        struct account_summary *authors = NULL;
        size_t n_authors = 0;
        ids_sort_unique(&ids);
        show_progress("%s", "");
        if (account_summaries(self, d, ids.v, ids.len, &authors, &n_authors, NULL) != 0) n_authors = 0;
        for (size_t i = 0; i < n; i++)
            if (accounts[i].found.n > 0) print_account(r, &accounts[i], authors, n_authors);
        fflush(stdout);
    }
    ids_free(&ids);
}

void audit_report_add(struct fiber *self, struct domain *d, struct audit_report *r,
                      const struct audit_account *accounts, size_t n) {
    print_differences(self, d, r, accounts, n);
    for (size_t i = 0; i < n; i++) r->entries += (int64_t)accounts[i].entries;
    r->accounts += (int64_t)n;
}

/* ---- the sum ------------------------------------------------------------------------------------------- */

static const char *plural(int64_t n) {
    return n == 1 ? "" : "s";
}

/* "audited 1 account with 9 entries through 1 gateway, by 4 first pages, 1 whole timeline and 0 live streams, in
 * 0.1 s: " */
static void print_extent(const struct audit_report *r, const struct audit_tally *t, int64_t took_ms) {
    printf("audited %" PRId64 " account%s with %" PRId64 " entries through %zu gateway%s, by %" PRId64
           " first page%s, %" PRId64 " whole timeline%s and %" PRId64 " live stream%s",
           r->accounts, plural(r->accounts), r->entries, r->n_gateways, plural((int64_t)r->n_gateways),
           t->first_pages, plural(t->first_pages), t->wholes, plural(t->wholes), t->streams,
           plural(t->streams));
    if (t->streams_ended > 0) printf(" (%" PRId64 " of them ended early)", t->streams_ended);
    printf(", in %.1f s: ", (double)took_ms / 1000);
}

int audit_report_end(const struct audit_report *r, const struct audit_tally *tally, int64_t took_ms) {
    const int64_t *d = r->differences;
    print_extent(r, tally, took_ms);
    printf("%" PRId64 " gap%s, %" PRId64 " vanished, %" PRId64 " duplicate%s, %" PRId64 " leak%s, %" PRId64
           " out of order, %" PRId64 " stale\n",
           d[AUDIT_GAP], plural(d[AUDIT_GAP]), d[AUDIT_VANISHED], d[AUDIT_DUPLICATE],
           plural(d[AUDIT_DUPLICATE]), d[AUDIT_LEAK], plural(d[AUDIT_LEAK]), d[AUDIT_ORDER], d[AUDIT_STALE]);
    for (int k = 0; k < AUDIT_KINDS; k++)
        if (d[k] > 0) return 1;
    return 0;
}
