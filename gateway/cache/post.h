/* Encoded posts, by id: the gateway's own copy, assembled into replies by concatenation.
 *
 * An entry holds the part of rookery.v1.Post that only an edit changes, encoded (fields 1 to 11). The counts are kept
 * beside it, because they change more often. Reposts are entries too, with an empty encoding.
 *
 * Why an entry is correct: the hub hears of deletes and edits and removes the entry; a fill that raced with one is
 * not stored (fill_guard.h); while the hub is not fresh the cache is bypassed. Counts may be 2 s old: when an older
 * entry is read, a fiber refreshes it in the background, in batches. An entry older than 30 s counts as missing.
 *
 * If the event of an edit or a deletion is lost, the entry is wrong for seconds, even if it is read all the time: a
 * refresh removes it when SQL has another edit count or says that it is deleted. A refresh renews the age only of
 * entries that it has compared. So an entry that is read often is wrong for some 2 s, and no entry for longer than 30
 * s.
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
    int64_t loaded_ns; /* the time before SQL was asked for these values, or earlier */
    int32_t edit_count;
    bool deleted;
    bool refreshing;
    size_t encoded_len;
    char encoded[];
};

struct post_cache *post_cache_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void post_cache_free(struct fiber *self, struct post_cache *c);

/* The posts with these ids: out[i] is NULL for an id that does not exist. Missing ones are loaded in one statement.
 * The pointers are valid until the fiber suspends next. */
int post_cache_get(struct fiber *self, struct gateway *g, const int64_t *ids, size_t n,
                   const struct cached_post **out, struct fault *fault);

/* The same from the cache alone: never suspends. Returns the number of posts that are not in it; their out[i] is
 * NULL. */
size_t post_cache_peek(struct gateway *g, const int64_t *ids, size_t n, const struct cached_post **out);

/* Returns a post that this gateway has just read or written in the form of a cached one, in the arena. It is not
 * stored. */
const struct cached_post *post_cache_wrap(struct arena *a, const struct post *p);

/* Returns a copy, in the arena, which remains valid across suspensions. */
const struct cached_post *post_cache_copy(struct arena *a, const struct cached_post *p);
/* Replaces entries, and the posts they show (the same post, or the original of a repost), by such copies. */
void post_cache_copy_shown(struct arena *a, const struct cached_post **entries,
                           const struct cached_post **shown, size_t n);

void post_cache_invalidate(struct post_cache *c, int64_t id);

#endif
