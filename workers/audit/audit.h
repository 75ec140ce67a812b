/* The audit: home timelines and live streams as gateways serve them, against what SQL says they must be (P2, P3, P5).
 *
 * Why the API and not the lists in Redis: the API is the promise. A list may rightly lack entries (what is older
 * than its bound comes from SQL), hold one twice, or hold what is deleted or muted by now; whether any of that
 * matters is the reader's business, so only what the reader makes of it can be right or wrong.
 *
 * What is judged, of each account, in this order:
 *   1. live    (with live_ms) A stream through every gateway; see "Streams" below.
 *   2. first   First pages of 1, 5 and 20 entries through every gateway: what people see. They come before any deep
 *              read, because a gateway that has read deep keeps a longer tail of the list, and because a deep read may
 *              rebuild a list: either hides what a first page lacks. A page of 1 is read before one of 5 and one of 20,
 *              because a short tail cannot serve a longer page: so each size is a first look. Accounts take turns in
 *              which gateway is asked first.
 *   3. again   A page of 20 through every gateway once more; see "Monotonic reads" below.
 *   4. whole   The whole timeline, page after page, through every gateway: so every element of a list is used.
 *
 * How a timeline that moves can be judged: one look (2 and 3, or 4) is enclosed by two readings of SQL, and only what
 * both say is held against a page. Between the first reading and the pages, the audit waits until all that had been
 * committed is delivered (backlog_settle). A look is steady when the account's relations token in Redis (tokens.h) is
 * the same before and after. Then:
 *   gap        An entry that both readings have was committed and delivered, and was not taken away in between: a page
 *              that reaches further down without it, or that is too short, is wrong. One steady look is enough, and no
 *              entry is too young. So a gap that comes and goes counts, also at one gateway or one page size only.
 *              Entries of pulled authors (core/domain/timeline/pull.h) are not delivered; gateways hear of them within a second.
 *              So these need two steady looks: looks are a second apart.
 *   vanished   As a gap.
 *   duplicate, order   One page contradicts itself. One look is enough, steady or not.
 *   leak, stale   A deletion or an edit may take a second to reach every gateway, and an entry may be made and deleted
 *              within one look. What is found at two steady looks has outlived that second.
 * In a look that is not steady an entry may rightly have been hidden, or shown, for a moment: what only such looks find
 * counts when every look finds it. Accounts of which the first look finds anything are looked at three times, in 2 and 3
 * and again in 4. A difference is reported once, with all places and the number of looks.
 * What is not seen: a fault that goes before the account's first look or comes after its last; a leak that only one look
 * finds.
 *
 * Monotonic reads, as promised through any number of gateways: once a home page has shown an entry, and what was
 * committed by then has been delivered, every first page that is asked for afterwards, through any gateway, shows that
 * entry if the page reaches that far, for as long as SQL has it in that timeline. Entries of pulled authors count as
 * delivered a second after their commit. Until an entry is delivered (usually milliseconds) it may be on one gateway's
 * page and not on another's: pages served from SQL can be ahead of lists. Deletions and edits are on every gateway's
 * pages after a second (P3). The audit waits for the backlog between 2 and 3, and expects in 3 all that any gateway has
 * shown in 2.
 *
 * Streams, as promised: a stream brings every entry that is committed after its beginning and stays, nothing twice, and
 * nothing that SQL does not have, unless it says afterwards that the entry is gone. A stream that ends, or that asks its
 * client to read again, owes nothing more. An entry whose commit was under way at the beginning may come or not; entries
 * that a change of relations adds do not come; the order is that of publication. The audit listens for live_ms, waits for
 * the backlog, and gives streams AUDIT_LIVE_LIMIT_MS more. One look decides, since a stream cannot be looked at again; if
 * it is not steady, only duplicates count.
 */
#ifndef ROOKERY_WORKERS_AUDIT_AUDIT_H
#define ROOKERY_WORKERS_AUDIT_AUDIT_H

#include "core/domain/domain.h"
#include "workers/audit/compare.h"

/* ---- gateways (api.c) ---------------------------------------------------------------------------- */

struct audit_api;

/* Opens nothing yet: connections are made, and made again, when they are needed. address: "ADDR:PORT", borrowed.
 * page_size: of whole timelines. NULL on allocation failure. */
struct audit_api *audit_api_new(const char *address, int page_size);
void audit_api_free(struct fiber *self, struct audit_api *api);

/* ---- the audit of some accounts (audit.c) -------------------------------------------------------------- */

/* How long a stream may take to bring what has been delivered. */
#define AUDIT_LIVE_LIMIT_MS 5000

struct audit_account {
    int64_t id;
    struct str handle; /* borrowed */
    /* out */
    struct audit_differences found; /* that count */
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
    int64_t wait_ms; /* for the backlog, each time */
    int64_t live_ms; /* streams are listened to for so long; 0: not at all */
    struct audit_tally tally;
};

/* Audits these accounts. The calling fiber's arena is used for the time of the call. 0, or an error with a sentence when it
 * could not be done. The caller frees what was found, also after an error. */
int audit_accounts(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
                   struct fault *fault);

#endif
