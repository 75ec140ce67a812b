/* Mentions and hashtags: one walk over the text.
 *
 * At each code point the walk knows what stood before it. A '@' or '#' that may begin an entity is followed by its
 * run of handle or tag characters, and the walk goes on behind the run whether or not it was one; so every code point
 * is looked at twice at most. Links are skipped (link.c): an anchor is not a hashtag, and a path is not a mention.
 */
#include <utf8proc.h>

#include "core/text/text.h"
#include "core/text/text_internal.h"

enum {
    ENTITIES_MAX = 64, /* of each kind; a post has 500 characters */
    TAG_MAX_CHARACTERS = 100,
    TAG_MAX_BYTES = 400, /* normalised; an index entry holds 2,700 */
    FULL_WIDTH_HASH = 0xFF03,
};

/* Where the walk stands. */
struct walk {
    struct str text;
    size_t byte, point; /* of the next code point */
    int32_t before;     /* the code point before it; 0 at the start */
    int32_t before_that;
    struct arena *arena;
    struct text_entities *out;
};

static int32_t peek(const struct walk *w) {
    size_t pos = w->byte;
    return pos < w->text.len ? text_next(w->text, &pos) : 0;
}

static int32_t step(struct walk *w) {
    w->before_that = w->before;
    w->before = text_next(w->text, &w->byte);
    w->point++;
    return w->before;
}

/* --- classes ----------------------------------------------------------------------------------------- */

static bool is_digit(int32_t c) {
    return utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

/* The enclosing ones (a keycap's) are not part of words. */
static bool is_mark(int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC;
}

/* Letters, digits, letter-like numbers and connectors: what a tag may begin with. */
static bool is_tag_start(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return !text_is_default_ignorable(c);
    default: return false;
    }
}

static bool is_tag_continue(int32_t c) {
    return is_tag_start(c) || is_mark(c);
}

/* The invisible ones do not count: an emoji often ends in a variation selector, which is a mark. */
static bool is_word(int32_t c) {
    return c && is_tag_continue(c) && !text_is_default_ignorable(c);
}

static bool is_handle(int32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Whether a handle that ends here would be cut out of a longer word or an address. Letters of scripts that are
 * written without blanks may follow. */
static bool continues_handle(int32_t c) {
    return c == '@' || (is_word(c) && (is_mark(c) || (c >= 0x00C0 && c <= 0x024F)));
}

/* --- entities ---------------------------------------------------------------------------------------- */

static void add(struct walk *w, struct text_entity **list, size_t *count, struct text_entity e) {
    if (*count == ENTITIES_MAX) return;
    if (!*list) *list = ARENA_ARRAY(w->arena, struct text_entity, ENTITIES_MAX);
    (*list)[(*count)++] = e;
}

static void skip_to(struct walk *w, size_t byte) {
    while (w->byte < byte) step(w);
}

/* Behind these, with a word before, an '@' may belong to an address: "ada"@example.org, ada+@example.org. */
static bool ends_local_part(int32_t c) {
    return c == '"' || c == '+' || c == '-' || c == '~' || c == '=';
}

/* The walk is behind the '@', before which was what the caller says. */
static void take_mention(struct walk *w, bool maybe_address) {
    size_t from = w->byte, start = w->point - 1;
    while (is_handle(peek(w))) step(w);
    size_t len = w->byte - from, address = text_address_end(w->text, w->byte);
    if (address > w->byte) {
        skip_to(w, address);
        return;
    }
    if (maybe_address && text_is_domain_rest(w->text, w->byte)) return;
    if (len < 1 || len > TEXT_HANDLE_MAX || continues_handle(peek(w))) return;
    char *handle = arena_strndup(w->arena, w->text.ptr + from, len);
    for (size_t i = 0; i < len; i++) {
        if (handle[i] >= 'A' && handle[i] <= 'Z') handle[i] = (char)(handle[i] - 'A' + 'a');
    }
    add(w, &w->out->mentions, &w->out->n_mentions,
        (struct text_entity){.start = start,
                             .end = w->point,
                             .start_byte = from - 1,
                             .end_byte = w->byte,
                             .value = {handle, len}});
}

static bool stays_in_tag(int32_t c) {
    return text_is_tag_medial(c) || !text_is_default_ignorable(c);
}

/* Whether a normalised tag is still a hashtag, so that a person who types it finds it. Some letters decompose into a
 * blank and a mark, or into a phrase. */
static bool is_tag(struct str tag) {
    bool all_digits = true, may_end = false;
    for (size_t pos = 0; pos < tag.len;) {
        bool first = pos == 0;
        int32_t c = text_next(tag, &pos);
        if (first ? !is_tag_start(c) : !is_tag_continue(c) && !text_is_tag_medial(c)) return false;
        if (is_tag_start(c) && !is_digit(c)) all_digits = false;
        may_end = !text_is_tag_medial(c);
    }
    return may_end && !all_digits;
}

/* The walk is behind the hash sign, and next is a character that a tag may begin with. */
static void take_hashtag(struct walk *w, size_t sign_byte) {
    struct walk end = *w; /* behind the last character that may be last */
    size_t from = w->byte, start = w->point - 1;
    for (int32_t c = peek(w); is_tag_continue(c) || text_is_tag_medial(c); c = peek(w)) {
        step(w);
        if (!text_is_tag_medial(c)) end = *w;
    }
    if (end.point - start - 1 > TAG_MAX_CHARACTERS) return;
    struct str raw = {w->text.ptr + from, end.byte - from}, tag;
    if (!text_map(w->arena, raw, true, stays_in_tag, &tag) || tag.len > TAG_MAX_BYTES || !is_tag(tag)) return;
    add(w, &w->out->hashtags, &w->out->n_hashtags,
        (struct text_entity){
            .start = start, .end = end.point, .start_byte = sign_byte, .end_byte = end.byte, .value = tag});
}

void text_parse_entities(struct arena *a, struct str nfc, struct text_entities *out) {
    *out = (struct text_entities){0};
    struct walk w = {.text = nfc, .arena = a, .out = out};
    while (w.byte < nfc.len) {
        int32_t before = w.before, before_that = w.before_that;
        size_t at = w.byte;
        int32_t c = step(&w);
        if (c == ':' || c == '/') {
            skip_to(&w, text_link_end(nfc, at));
        } else if (c == '@' && !is_word(before)) {
            take_mention(&w, ends_local_part(before) && is_word(before_that));
        } else if ((c == '#' || c == FULL_WIDTH_HASH) && before != '&' && !is_word(before) &&
                   is_tag_start(peek(&w))) {
            take_hashtag(&w, at);
        }
    }
}

static size_t unique(struct arena *a, const struct text_entity *v, size_t n, char ***out) {
    size_t count = 0;
    *out = ARENA_ARRAY(a, char *, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t k = 0; k < count && !seen; k++) seen = str_eq(str_from((*out)[k]), v[i].value);
        if (!seen) (*out)[count++] = arena_strndup(a, v[i].value.ptr, v[i].value.len);
    }
    return count;
}

size_t text_unique_handles(struct arena *a, const struct text_entities *e, char ***out) {
    return unique(a, e->mentions, e->n_mentions, out);
}

size_t text_unique_tags(struct arena *a, const struct text_entities *e, char ***out) {
    return unique(a, e->hashtags, e->n_hashtags, out);
}
