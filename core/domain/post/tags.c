/* A post's tags as the statements take them. */
#include "core/domain/post/post_internal.h"

struct str post_join_tags(struct arena *a, char *const *tags, size_t n) {
    struct buf joined;
    buf_init(&joined);
    for (size_t i = 0; i < n; i++) buf_printf(&joined, i ? " %s" : "%s", tags[i]);
    struct str out = {arena_strndup(a, joined.ptr ? joined.ptr : "", joined.len), joined.len};
    buf_free(&joined);
    return out;
}
