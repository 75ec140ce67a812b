/* Posts, replies, likes and reposts. */
#ifndef ROOKERY_CORE_DOMAIN_POST_POST_H
#define ROOKERY_CORE_DOMAIN_POST_POST_H

#include "core/domain/graph/relations.h"

struct post {
    struct entry entry; /* id, author, target of a reply or repost */
    struct str text;    /* "" for a repost */
    int64_t reply_to_id, thread_id;
    int64_t edited_ms; /* 0: never */
    int32_t edit_count;
    bool deleted; /* or, for a repost, its original is */
    int64_t likes, reposts, replies;
};

struct post_draft {
    int64_t author_id;
    struct str text; /* in the normal form that post.proto has for it */
    int64_t reply_to_id;
    struct str idempotency_key; /* "": none */
    bool author_pulled;         /* is the author's audience pulled (account.pulled)? */
};

/* Commits in a batch with other callers' posts, publishes, and puts the entry on the author's own home timeline (P6).
 * NOT_FOUND (reply_to_id; also when either author has blocked the other), FAILED_PRECONDITION (the key was used for
 * another text). */
int post_create(struct fiber *self, struct domain *d, const struct post_draft *draft, struct post *out,
                struct fault *fault);
/* text: in its normal form. PERMISSION_DENIED for another account's post that the actor may see; NOT_FOUND. The same
 * text again changes
 * nothing. Acknowledged when published (P3). */
int post_edit(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct str text,
              struct post *out, struct fault *fault);
int post_delete(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct fault *fault);

/* Loads those posts that exist, in no order; deleted ones have `deleted` set. In the fiber's arena. */
int post_load(struct fiber *self, struct domain *d, const int64_t *ids, size_t n, struct post **out,
              size_t *n_out, struct fault *fault);

/* A post in a list, and what the list is ordered by: where a page of it ends. */
struct post_place {
    int64_t post_id, place;
};
/* A part of a list that belongs to a post or an account: up to `limit` posts behind the place `from`, in the arena. */
typedef int post_list_fn(struct fiber *self, struct domain *d, int64_t owner_id, int64_t from, int limit,
                         struct post_place **out, size_t *n, struct fault *fault);
/* Direct replies to a post, oldest first: from 0. Those that are deleted too, if they were replied to. */
post_list_fn post_replies;
/* Bookmarks of an account, the latest first: from INT64_MAX. */
post_list_fn post_bookmarks;
/* Ids of ancestors, oldest first, at most limit. Deleted ones too. */
int post_ancestors(struct fiber *self, struct domain *d, int64_t post_id, int limit, int64_t **out, size_t *n,
                   struct fault *fault);
/* ids: posts that are hidden from a viewer, because they are deleted or of one of the accounts `hidden`. *out: those
 * with a post somewhere below them that is not hidden. At most POST_BELOW_MAX hidden posts are passed on the way. */
#define POST_BELOW_MAX 2000
int post_below(struct fiber *self, struct domain *d, const int64_t *ids, size_t n_ids,
               const struct ids *hidden, int64_t **out, size_t *n, struct fault *fault);
/* Entry ids of an author (posts, replies, reposts), newest first, id < before, not deleted. */
int post_by_author(struct fiber *self, struct domain *d, int64_t author_id, int64_t before, int limit,
                   int64_t **out, size_t *n, struct fault *fault);

struct post_edit_row {
    int32_t edit;
    struct str text;
    int64_t edited_ms;
};
/* Newest first, edit < before. */
int post_edits(struct fiber *self, struct domain *d, int64_t post_id, int32_t before, int limit,
               struct post_edit_row **out, size_t *n, struct fault *fault);

/* Idempotent. NOT_FOUND (also when blocked, either way). */
int post_like(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct fault *fault);
int post_unlike(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct fault *fault);
int post_repost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, bool author_pulled,
                int64_t *repost_id, struct fault *fault);
/* *repost_id: the deleted entry, or 0 when there was none. */
int post_unrepost(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, int64_t *repost_id,
                  struct fault *fault);

/* Idempotent. NOT_FOUND (also when blocked, either way). */
int post_bookmark(struct fiber *self, struct domain *d, int64_t account_id, int64_t post_id,
                  struct fault *fault);
int post_unbookmark(struct fiber *self, struct domain *d, int64_t account_id, int64_t post_id,
                    struct fault *fault);

enum post_list { POST_LIST_LIKES, POST_LIST_REPOSTS };
struct post_actor {
    int64_t account_id;
    int64_t id; /* of the like or repost: the list's order, newest first */
};
int post_actors(struct fiber *self, struct domain *d, enum post_list which, int64_t post_id,
                int64_t viewer_id, int64_t before, int limit, struct post_actor **out, size_t *n,
                struct fault *fault);

/* All accounts that reposted a post, whatever a viewer may see, by the reposts' ids, oldest first, id > after. */
int post_reposts(struct fiber *self, struct domain *d, int64_t post_id, int64_t after, int limit,
                 struct post_actor **out, size_t *n, struct fault *fault);

/* What a viewer does with posts, and sees of it on each post that is shown. */
enum engagement { ENGAGED_LIKED, ENGAGED_REPOSTED, ENGAGED_BOOKMARKED, ENGAGEMENT_KINDS };

/* The newest posts that a viewer has engaged with, of each kind: sorted, unique ids, malloc'ed. */
struct engagements {
    struct ids of[ENGAGEMENT_KINDS];
    int64_t floor[ENGAGEMENT_KINDS]; /* below this id the list says nothing; 0: it is complete */
    uint64_t any[16]; /* a Bloom filter of all lists, by which most posts are seen to be in none */
};
int post_engagements(struct fiber *self, struct domain *d, int64_t viewer_id, struct engagements *out,
                     struct fault *fault);
void engagements_free(struct engagements *e);
/* Fills the filter from the lists. */
void engagements_index(struct engagements *e);
/* Which of 1,024 bits stands for an id: Fibonacci hashing. */
static inline uint64_t engagements_bit(int64_t id) {
    return (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 54;
}
/* False only when the id is in no list. */
static inline bool engagements_may_have(const struct engagements *e, int64_t id) {
    uint64_t bit = engagements_bit(id);
    return e->any[bit / 64] >> bit % 64 & 1;
}
/* For posts below the floors: those of ids that the viewer has engaged with, of each kind; the caller frees the
 * lists. */
int post_engaged_in(struct fiber *self, struct domain *d, int64_t viewer_id, const int64_t *ids, size_t n,
                    struct ids out[static ENGAGEMENT_KINDS], struct fault *fault);
/* Empty lists; and their end. */
void engaged_init(struct ids of[static ENGAGEMENT_KINDS]);
void engaged_free(struct ids of[static ENGAGEMENT_KINDS]);

/* Creates posts of several calls in one statement: the kind of domain.create_posts. */
extern const struct pg_batch_kind POST_CREATE_BATCH;

#endif
