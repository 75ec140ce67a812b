/* Checks of a post's text, and its tags as the statements take them. */
#include "core/text/text.h"
#include "core/domain/post/post_internal.h"

int post_check_text(struct arena *a, struct str raw, struct str *text, struct fault *fault) {
    if (raw.len > 2 * POST_MAX_BYTES)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "text", "text must be at most %d bytes",
                           POST_MAX_BYTES);
    if (!text_normalize(a, raw, text))
        return fault_field(fault, ERR_INVALID_ARGUMENT, "text", "text must be UTF-8 without U+0000");
    if (text_is_blank(*text))
        return fault_field(fault, ERR_INVALID_ARGUMENT, "text", "text must not be empty or blank");
    size_t characters = text_count_graphemes(*text);
    if (characters > POST_MAX_CHARACTERS)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "text",
                           "text must be at most %d characters, this has %zu", POST_MAX_CHARACTERS,
                           characters);
    if (text->len > POST_MAX_BYTES)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "text", "text must be at most %d bytes, this has %zu",
                           POST_MAX_BYTES, text->len);
    return 0;
}

struct str post_join_tags(struct arena *a, char *const *tags, size_t n) {
    struct buf joined;
    buf_init(&joined);
    for (size_t i = 0; i < n; i++) buf_printf(&joined, i ? " %s" : "%s", tags[i]);
    struct str out = {arena_strndup(a, joined.ptr ? joined.ptr : "", joined.len), joined.len};
    buf_free(&joined);
    return out;
}
