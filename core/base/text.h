/* Unicode text rules (utf8proc): what a character is to a person, what a mention and a hashtag are.
 *
 * Everything is linear in the input; results live in the arena. Inputs are UTF-8 slices; functions that say
 * so check it.
 */
#ifndef ROOKERY_CORE_BASE_TEXT_H
#define ROOKERY_CORE_BASE_TEXT_H

#include "core/base/arena.h"
#include "core/base/str.h"

/* NFC of raw in *out. False when raw is not UTF-8 or holds U+0000. */
bool text_normalize(struct arena *a, struct str raw, struct str *out);

/* Extended grapheme clusters (UAX #29): what a person counts. Valid UTF-8 assumed. */
size_t text_count_graphemes(struct str s);

/* Nothing to see: only white space and default-ignorable code points (or empty). */
bool text_is_blank(struct str s);

/* A mention or hashtag where it stands, in code points (end exclusive). */
struct text_entity {
    size_t start, end;
    struct str value; /* handle in lower case; tag in NFKC, case-folded; NUL-terminated */
};

struct text_entities {
    struct text_entity *mentions, *hashtags;
    size_t n_mentions, n_hashtags;
};

/* Mentions: '@' and 1 to 30 of [A-Za-z0-9_], not behind a word character, and not longer than 30. Hashtags
 * (UTS #31): '#' or U+FF03 and letters, marks, digits, connectors, ZWJ/ZWNJ, at least one of them no digit,
 * not behind a word character or '&'. Every occurrence, in order; at most 64 of each (a post of 500
 * characters). */
void text_parse_entities(struct arena *a, struct str nfc, struct text_entities *out);

/* Each handle/tag once, in order of first appearance, as an array of C strings for protobuf; returns their
 * number. */
size_t text_unique_handles(struct arena *a, const struct text_entities *e, char ***out);
size_t text_unique_tags(struct arena *a, const struct text_entities *e, char ***out);

/* NULL when fine and *out is the handle in lower case; else a sentence for people: 1 to 30 of a-z, 0-9, _;
 * not reserved. */
const char *text_check_handle(struct arena *a, struct str raw, struct str *out);

/* NULL when fine and *out is the NFC text; else a sentence. lowest..highest characters, no control characters
 * (newline is allowed when lines is true). name begins the sentence ("display_name"). */
const char *text_check_line(struct arena *a, const char *name, struct str raw, size_t lowest, size_t highest,
                            bool lines, struct str *out);

#endif
