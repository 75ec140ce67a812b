/* What the files of post.h share. */
#ifndef ROOKERY_CORE_DOMAIN_POST_POST_INTERNAL_H
#define ROOKERY_CORE_DOMAIN_POST_POST_INTERNAL_H

#include "core/domain/post/post.h"
#include "core/event/outbox.h"

/* Reads the answer of a statement by which an account engages with a post: whether one has blocked the other, and
 * whether anything changed; no row when there is no such post. Returns 0, or NOT_FOUND about "post_id". */
int post_read_engagement(const struct pg_result *r, bool *changed, struct fault *fault);

/* After a commit: every gateway shows what the account has done with posts from the next read on (P6). 0, or
 * UNAVAILABLE with a sentence. */
int post_move_engagement_token(struct fiber *self, struct domain *d, int64_t account_id, struct fault *fault);

/* The places of a list: runs a statement of ($1 owner, $2 from, $3 limit) that selects a post's id and its place. */
int post_list_places(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, int64_t owner_id,
                     int64_t from, int limit, struct post_place **out, size_t *n, struct fault *fault);

/* Tags as the statements take them: separated by blanks (a tag has none). */
struct str post_join_tags(struct arena *a, char *const *tags, size_t n);

/* Loads a post that is neither deleted nor a repost. NOT_FOUND about "post_id". */
int post_load_one(struct fiber *self, struct domain *d, int64_t id, struct post *out, struct fault *fault);

/* Publishes an event that gateways must have before the change is acknowledged (P3). When nothing changed, an earlier
 * call may have failed after its commit; so the event is published again, marked as a repetition. UNAVAILABLE when
 * Redis did not take it. */
int post_publish_or_fail(struct fiber *self, struct domain *d, Event *event, bool changed,
                         struct fault *fault);

/* Publishes the event of a new entry and puts the entry on its author's own home timeline (P6). Returns 0 when every
 * gateway shows it to its author; UNAVAILABLE, with a sentence, when that is not certain in time. event is NULL for
 * an entry that an earlier call has committed, maybe without announcing it; then the relay publishes the event. */
int post_announce(struct fiber *self, struct domain *d, const struct event_record *event, int64_t author_id,
                  int64_t entry_id, struct fault *fault);

#endif
