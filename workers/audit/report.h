/* What the audit prints: a line for each difference, and one at the end that counts. */
#ifndef ROOKERY_WORKERS_AUDIT_REPORT_H
#define ROOKERY_WORKERS_AUDIT_REPORT_H

#include "workers/audit/audit.h"

struct audit_report {
    const char *const *gateways; /* their addresses */
    size_t n_gateways;
    /* so far */
    int64_t accounts, entries;
    int64_t differences[AUDIT_KINDS];
};

/* Prints what was found of some accounts, and counts it. */
void audit_report_add(struct fiber *self, struct domain *d, struct audit_report *r,
                      const struct audit_account *accounts, size_t n);
/* Prints the sum. Returns the exit status. */
int audit_report_end(const struct audit_report *r, const struct audit_tally *tally, int64_t took_ms);

#endif
