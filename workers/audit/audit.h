/* The audit: compares home timelines and live streams, as gateways serve them, with what SQL says they must be (P2,
 * P3, P5).
 *
 * Why the API and not the lists in Redis: the API is the promise. A list may rightly lack entries (those older than
 * its bound come from SQL), hold an entry twice, or hold entries that are deleted or muted by now. The reader of the
 * list deals with all of that, so only what the reader returns can be right or wrong.
 *
 * The audit judges of each account, in this order:
 *   1. live    (with live_ms) A stream through every gateway; see "Streams" below.
 *   2. first   First pages of 1, 5 and 20 entries through every gateway: what people see. They come before any deep
 *              read, because a gateway that has read deep keeps a longer tail of the list, and because a deep read may
 *              rebuild a list: either hides what a first page lacks. A page of 1 is read before one of 5 and one of 20,
 *              because a short tail cannot serve a longer page: so each size is a first look. Different accounts begin
 *              with different gateways.
 *   3. again   Again a page of 20 through every gateway; see "Monotonic reads" below.
 *   4. whole   The whole timeline, page after page, through every gateway: so every element of a list is used.
 *
 * How the audit judges a timeline that changes meanwhile: two readings of SQL enclose one look (2 and 3, or 4), and a
 * page is only compared with what both say. Between the first reading and the pages, the audit waits until everything
 * that had been committed is delivered (backlog_settle). A look is steady when the account's relations token in Redis
 * (tokens.h) is the same before and after. Then:
 *   gap        An entry that both readings have was committed and delivered, and was not taken away in between: a page
 *              that reaches further down without it, or that is too short, is wrong. One steady look is enough, and
 *              no entry is too young. So a gap that comes and goes counts, also at one gateway or one page size only.
 *              Entries of pulled authors (core/domain/timeline/pull.h) are not delivered; gateways hear of them
 *              within a second. So these need two steady looks: looks are a second apart.
 *   vanished   As a gap.
 *   duplicate, order   One page contradicts itself. One look is enough, steady or not.
 *   leak, stale   A deletion or an edit may take a second to reach every gateway, and an entry may be made and deleted
 *              within one look. What is found at two steady looks has outlived that second.
 * In a look that is not steady an entry may rightly have been hidden, or shown, for a moment: a difference that only
 * such looks find counts when every look finds it. When the first look finds any difference of an account, the
 * account is looked at three times, in 2 and 3 and again in 4. A difference is reported once, with all places and the
 * number of looks. The audit does not see a fault that ends before the account's first look or begins after its last,
 * nor a leak that only one look finds.
 *
 * Monotonic reads, as promised through any number of gateways: once a home page has shown an entry, and what was
 * committed by then has been delivered, every first page that is asked for afterwards, through any gateway, shows that
 * entry if the page reaches that far, for as long as SQL has it in that timeline. Entries of pulled authors count as
 * delivered a second after their commit. Until an entry is delivered (usually milliseconds) it may be on one gateway's
 * page and not on another's: pages served from SQL can be ahead of lists. Deletions and edits are on every gateway's
 * pages after a second (P3). The audit waits for the backlog between 2 and 3, and expects in 3 all that any gateway has
 * shown in 2.
 *
 * Streams, as promised: a stream brings every entry that is committed after its beginning and stays. It brings no
 * entry twice, and none that SQL does not have, unless it says afterwards that the entry is gone. A stream that ends,
 * or that asks its client to read again, owes nothing more. An entry whose commit was under way at the beginning may
 * come or not; entries that a change of relations adds do not come. The order is that of publication. The audit
 * listens for live_ms, waits for the backlog, and gives streams AUDIT_LIVE_LIMIT_MS more. One look decides, since a
 * stream cannot be looked at again; if it is not steady, only duplicates count.
 */
#ifndef ROOKERY_WORKERS_AUDIT_AUDIT_H
#define ROOKERY_WORKERS_AUDIT_AUDIT_H

#include "core/domain/domain.h"
#include "workers/audit/compare.h"

/* ---- gateways (api.c) ---------------------------------------------------------------------------- */

struct audit_api;

/* Opens no connection yet; they are opened, and opened again, when they are needed. address: "ADDR:PORT", borrowed.
 * page_size: of whole timelines. Returns NULL on allocation failure. */
struct audit_api *audit_api_new(const char *address, int page_size);
void audit_api_free(struct fiber *self, struct audit_api *api);

/* ---- the audit of some accounts (audit.c) -------------------------------------------------------------- */

/* The maximum time that a stream may take to bring what has been delivered. */
#define AUDIT_LIVE_LIMIT_MS 5000

struct audit_account {
    int64_t id;
    struct str handle; /* borrowed */
    /* out */
    struct audit_differences found; /* the differences that count */
    size_t entries;                 /* of the whole timeline, at its last look */
    int looks;
};

/* How much was judged. */
struct audit_tally {
    int64_t first_pages, wholes, streams, streams_ended;
};

struct audit {
    struct domain *domain;
    struct audit_api *gateways[AUDIT_GATEWAYS_MAX];
    size_t n_gateways;
    int64_t wait_ms; /* maximum wait for the backlog, each time */
    int64_t live_ms; /* how long the audit listens to streams; 0: not at all */
    struct audit_tally tally;
};

/* Audits these accounts. Uses the calling fiber's arena during the call. Returns 0, or an error with a sentence when
 * the audit could not be completed. The caller frees what was found, also after an error. */
int audit_accounts(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
                   struct fault *fault);

#endif
