/* Unicode text rules (utf8proc): what people count as a character, what a mention and a hashtag are.
 *
 * Everything is linear in the input; results live in the arena. Inputs are UTF-8 slices, which only some functions
 * check, as stated there.
 */
#ifndef ROOKERY_CORE_TEXT_TEXT_H
#define ROOKERY_CORE_TEXT_TEXT_H

#include "core/base/arena.h"
#include "core/base/str.h"

#define TEXT_HANDLE_MAX 30

/* Writes NFC of raw to *out, NUL-terminated. Returns false when raw is not UTF-8 or holds U+0000, or the arena's
 * limit would be passed. Further demands on a text are rules (rule.h). */
bool text_normalize(struct arena *a, struct str raw, struct str *out);

/* Writes the normal form of a password to *out, NUL-terminated: OpaqueString of RFC 8265, which turns every blank (Zs)
 * into U+0020 and composes to NFC. Nothing is refused: a password may hold what it likes. Returns false as
 * text_normalize. */
bool text_password(struct arena *a, struct str raw, struct str *out);

/* In extended grapheme clusters (UAX #29), which people count as characters. Valid UTF-8 assumed. */
struct text_size {
    size_t characters;
    size_t longest_bytes; /* of the longest character */
};
struct text_size text_measure(struct str s);

/* Whether s shows nothing: empty, or only white space, controls and default-ignorable code points. */
bool text_is_blank(struct str s);

/* A mention or hashtag where it stands, sign included, in code points and in bytes (ends exclusive). */
struct text_entity {
    size_t start, end;
    size_t start_byte, end_byte;
    struct str value; /* without the sign: handle in lower case; tag in NFKC, case-folded; NUL-terminated */
};

struct text_entities {
    struct text_entity *mentions, *hashtags;
    size_t n_mentions, n_hashtags;
};

/* Mentions: '@' and 1 to 30 of [A-Za-z0-9_], not behind a word character, not cut out of a longer word or an address
 * (@ada@elsewhere, @ada.b@elsewhere, "ada"@elsewhere.org). Hashtags (UTS #31, hashtag identifiers): '#' or U+FF03 and
 * letters, marks, digits, connectors, and between these ZWJ, ZWNJ and middle dots; at least one of them not a digit;
 * not behind a word character or '&'; at most 100 code points; still a hashtag when normalised. Links are skipped, with
 * a scheme or without (example.org/@ada). Every occurrence, in order; at most 64
 * of each (a post has 500 characters). Values hold no blanks and are at most 30 and 400 bytes. */
void text_parse_entities(struct arena *a, struct str nfc, struct text_entities *out);

/* Each handle or tag once, in order of first appearance, as an array of C strings for protobuf; returns their
 * number. */
size_t text_unique_handles(struct arena *a, const struct text_entities *e, char ***out);
size_t text_unique_tags(struct arena *a, const struct text_entities *e, char ***out);

#endif
