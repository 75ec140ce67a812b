/* The pure part of the audit: what differs between SQL's readings and what an account was shown.
 *
 * A reading is SQL's timeline at one moment, newest first, deeper than what is shown. Two readings enclose what was
 * shown between them; only what both agree on is judged. audit_counts decides when a difference counts as a fault;
 * audit.h says why.
 */
#ifndef ROOKERY_WORKERS_AUDIT_COMPARE_H
#define ROOKERY_WORKERS_AUDIT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/map.h"

/* ---- timelines ----------------------------------------------------------------------------------------- */

struct audit_entry {
    int64_t id, author_id;
    int32_t edit_count; /* of the post it shows */
    int64_t post_id;    /* of the post it shows; 0: not known */
    bool pulled;        /* not delivered, but merged by the gateways when they hear of it; SQL says so */
};

/* A timeline, in the order in which it was shown; malloc'ed. */
struct audit_view {
    struct audit_entry *v;
    size_t n, cap;
};

void audit_view_add(struct audit_view *view, const struct audit_entry *e);
void audit_view_free(struct audit_view *view); /* and makes it empty */

/* What was shown at one place. */
struct audit_page {
    struct audit_view shown;
    /* The number of newest entries that it must show: the requested size; one more when it says that nothing follows
     * it. */
    size_t owed;
};

/* What a live stream brought. */
struct audit_heard {
    struct audit_view items;
    struct ids deleted;
    bool incomplete; /* it ended, or said that something was missed: it owes nothing more */
    size_t judged;   /* the number of items that came before the last reading */
};

/* ---- differences --------------------------------------------------------------------------------------- */

enum audit_kind {
    AUDIT_GAP,
    AUDIT_VANISHED,
    AUDIT_DUPLICATE,
    AUDIT_LEAK,
    AUDIT_ORDER,
    AUDIT_STALE,
    AUDIT_KINDS
};

extern const char *const AUDIT_KIND_NAMES[AUDIT_KINDS];

/* Where in a gateway's answers. */
enum audit_place {
    AUDIT_PAGE_1, /* first pages of so many entries */
    AUDIT_PAGE_5,
    AUDIT_PAGE_20,
    AUDIT_AGAIN, /* a first page of 20 again, when what was shown before is delivered everywhere */
    AUDIT_WHOLE, /* the whole timeline, page after page */
    AUDIT_LIVE,  /* the live stream */
    AUDIT_PLACES
};

extern const char *const AUDIT_PLACE_NAMES[AUDIT_PLACES];

/* Gateways that one audit can tell apart. */
#define AUDIT_GATEWAYS_MAX 10

/* A set of places at gateways. */
static inline uint64_t audit_where(size_t gateway, enum audit_place place) {
    return (uint64_t)1 << (gateway * AUDIT_PLACES + (size_t)place);
}

struct audit_difference {
    enum audit_kind kind;
    struct audit_entry entry;
    uint64_t where;    /* everywhere it was found */
    int looks, steady; /* at so many looks, and so many of these were steady (audit.h) */
};

struct audit_differences {
    struct audit_difference *v;
    size_t n, cap;
};

/* Appends
 *   gap        both readings have it among the newest owed, and it is not shown although the page reaches further
 *              down, or shows fewer than it owes
 *   duplicate  it is shown again
 *   leak       neither reading has it, and it is shown
 *   order      it is shown below an older one
 *   stale      it is shown with fewer edits than both readings know
 * in the order shown, gaps first. A full page of entries that are all newer than one that is missing has no gap there:
 * that entry was pushed off the page. */
void audit_compare(const struct audit_view *before, const struct audit_view *after,
                   const struct audit_page *page, struct audit_differences *out);

/* Appends, for a page read later than `seen`,
 *   vanished   it was seen, the later reading has it among the newest owed, and the page, as for a gap, lacks it
 * seen may be in any order and hold entries more than once. */
void audit_compare_vanished(const struct audit_view *seen, const struct audit_view *after,
                            const struct audit_page *page, struct audit_differences *out);

/* Judges a stream that had begun when the reading `begin` was made. Readings hold `depth` entries at most. Appends
 *   gap        first and second have it, it came after begin, and the stream has not brought it, or has said that it is
 *              gone
 *   duplicate  the stream brought it again
 *   leak       the stream brought it before the second reading, no reading has it, and the stream has not said that it
 *              is gone
 * Order is not judged: streams bring entries in the order in which their gateway hears of them. */
void audit_compare_live(const struct audit_view *begin, const struct audit_view *first,
                        const struct audit_view *second, size_t depth, const struct audit_heard *heard,
                        struct audit_differences *out);

/* ---- collecting them ----------------------------------------------------------------------------------- */

/* Adds those of `found` to a collection, which holds each kind and entry once, sorted by kind, newest first. Places are
 * united, looks and steady looks added up. */
void audit_differences_collect(struct audit_differences *into, const struct audit_differences *found);
/* Notes that all of these were found at this place. */
void audit_differences_found_at(struct audit_differences *d, uint64_t where);
/* Notes that a look is over which found all of these. */
void audit_differences_looked(struct audit_differences *d, bool steady);
/* Returns true when it is a fault, after this total number of looks. */
bool audit_counts(const struct audit_difference *d, int looks);
/* Keeps the differences that count. */
void audit_differences_decide(struct audit_differences *d, int looks);
void audit_differences_free(struct audit_differences *d); /* and makes it empty */

#endif
