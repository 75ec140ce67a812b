/* The audit: home timelines as the API serves them, against what SQL says they must be (promises P2 and P5).
 *
 * Why the API and not the lists in Redis: the API is the promise. A list may rightly lack entries (what is older
 * than its bound comes from SQL), hold one twice, or hold what is deleted or muted by now; whether any of that
 * matters is the reader's business, so only what the reader makes of it can be right or wrong. Pages are read to the
 * end of the timeline, so every element of a list is used.
 *
 * How a timeline that moves can be judged: SQL is read before the API and once more after it, and only what both
 * readings agree on is held against the API. Between the first reading and the API's, the audit waits until all that
 * had been committed is delivered (backlog_settle), so an entry that is on its way is no gap. What is left,
 * such as a deletion that gateways may show for a second, is told from a real difference by looking again: only
 * differences that are found at every look are reported.
 */
#ifndef ROOKERY_WORKERS_AUDIT_H
#define ROOKERY_WORKERS_AUDIT_H

#include "core/domain/domain.h"

/* ---- timelines and what differs in them (audit_compare.c: pure) ---------------------------------------- */

struct audit_entry {
    int64_t id, author_id;
    int32_t edit_count; /* of the post it shows */
};

/* A timeline as somebody tells it, in the order told; malloc'ed. */
struct audit_view {
    struct audit_entry *v;
    size_t n, cap;
};

void audit_view_add(struct audit_view *view, const struct audit_entry *e);
void audit_view_free(struct audit_view *view); /* and makes it empty */

enum audit_kind { AUDIT_GAP, AUDIT_DUPLICATE, AUDIT_LEAK, AUDIT_ORDER, AUDIT_STALE, AUDIT_KINDS };

extern const char *const AUDIT_KIND_NAMES[AUDIT_KINDS];

struct audit_difference {
    enum audit_kind kind;
    struct audit_entry entry;
};

struct audit_differences {
    struct audit_difference *v;
    size_t n, cap;
};

/* SQL's two readings may hold more than length entries; only the newest length of each must be shown, but all of
 * them may be. Appends
 *   gap        both readings have it among their newest, and it is not shown
 *   duplicate  it is shown again
 *   leak       neither reading has it, and it is shown
 *   order      it is shown below an older one
 *   stale      it is shown with fewer edits than both readings know
 * in the order shown, gaps first. Both readings are newest first. */
void audit_compare(const struct audit_view *before, const struct audit_view *after,
                   const struct audit_view *shown, size_t length, struct audit_differences *out);
/* Keeps of a those that are in b as well. */
void audit_differences_intersect(struct audit_differences *a, const struct audit_differences *b);
void audit_differences_free(struct audit_differences *d);

/* ---- what SQL says (audit.c) --------------------------------------------------------------------------- */

/* More entries than a timeline has, so that one that is at its end can be told from one that must not be there. */
#define AUDIT_DEPTH 900

int audit_expected(struct fiber *self, struct domain *d, int64_t account_id, struct audit_view *out,
                   struct fault *fault);

/* ---- what the API says (audit_api.c) ------------------------------------------------------------------- */

struct audit_api;

/* Opens nothing yet: connections are made, and made again, when they are needed. address: "ADDR:PORT", borrowed. */
struct audit_api *audit_api_new(const char *address, int page_size);
void audit_api_free(struct fiber *self, struct audit_api *api);
/* The whole timeline of whoever the token belongs to. Waits for a gateway that is away, for so long as the
 * audit's patience lasts. May be called from several fibers at once, with different n: which connection is used. */
int audit_api_read(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                   struct audit_view *out, struct fault *fault);

/* ---- the audit of some accounts (audit.c) -------------------------------------------------------------- */

struct audit_account {
    int64_t id;
    struct str handle; /* borrowed */
    /* out */
    struct audit_differences lasting;
    size_t entries; /* shown at the last look */
};

struct audit {
    struct domain *domain;
    struct audit_api *api;
    int64_t wait_ms; /* for the backlog, at each look */
};

/* Audits these accounts, up to three looks at each. The calling fiber's arena is used for the time of the call. 0, or an
 * error with a sentence when it could not be done. */
int audit_accounts(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
                   struct fault *fault);

#endif
