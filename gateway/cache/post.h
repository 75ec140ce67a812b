/* Encoded posts, by id: the gateway's own copy, assembled into replies by concatenation.
 *
 * An entry holds the part of rookery.v1.Post that only an edit changes, already in protobuf (fields 1 to 11),
 * and beside it what changes by itself (counts) or depends on the viewer. Reposts are entries too, with an
 * empty encoding.
 *
 * True because: deletes and edits arrive by the hub, which removes the entry; a fill that raced with one is
 * not stored (fill_guard.h); while the hub is not fresh the cache is bypassed. Counts may be 2 s old: an
 * entry read after that is refreshed behind the reader's back, in batches; after 30 s it counts as missing.
 *
 * Should an edit or a deletion be lost on its way, the entry is wrong for seconds, not for as long as it is read: a refresh
 * removes it when SQL has another edit count or says that it is deleted, and renews the age of none that it has not
 * compared. So what is read often is wrong for some 2 s, and nothing for longer than 30 s.
 */
#ifndef ROOKERY_GATEWAY_CACHE_POST_H
#define ROOKERY_GATEWAY_CACHE_POST_H

#include "core/domain/post/post.h"
#include "gateway/cache/lru.h"
#include "gateway/gateway.h"

struct cached_post {
    struct lru_item lru;
    struct entry entry;
    int64_t likes, reposts, replies;
    int64_t loaded_ns; /* no later than SQL was asked for what is here */
    int32_t edit_count;
    bool deleted;
    bool refreshing;
    size_t encoded_len;
    char encoded[];
};

struct post_cache *post_cache_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void post_cache_free(struct fiber *self, struct post_cache *c);

/* The posts with these ids: out[i] is NULL for an id that does not exist. Missing ones are loaded in one
 * statement. The pointers are good until the fiber suspends next. */
int post_cache_get(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                   const struct cached_post **out, struct fault *fault);

/* The same from the cache alone: never suspends. Returns how many are not in it; their out[i] is NULL. */
size_t post_cache_peek(struct gateway *g, const int64_t *ids, size_t n, const struct cached_post **out);

/* A post this gateway has just read or written, in the fiber's arena, for shaping an answer; not stored. */
const struct cached_post *post_cache_wrap(struct arena *a, const struct post *p);

/* A copy that survives suspensions. */
const struct cached_post *post_cache_copy(struct arena *a, const struct cached_post *p);
/* The same for entries with the posts they show (the same, or the original of a repost), in place. */
void post_cache_copy_shown(struct arena *a, const struct cached_post **entries,
                           const struct cached_post **shown, size_t n);

void post_cache_invalidate(struct post_cache *c, int64_t id);

#endif
