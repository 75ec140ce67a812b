/* What text.c and entities.c share. */
#ifndef ROOKERY_CORE_TEXT_TEXT_INTERNAL_H
#define ROOKERY_CORE_TEXT_TEXT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/str.h"

/* The code point at byte *pos; moves *pos behind it. Returns U+FFFD (one byte) for a byte that is not UTF-8, so that
 * a walk always ends. *pos must be below s.len. */
int32_t text_next(struct str s, size_t *pos);

/* Decomposes, puts marks in canonical order, composes: NFC, or NFKC and case-folded when `fold`. `keep` (NULL: all)
 * chooses among the decomposed code points. Linear: utf8proc's own ordering of marks takes time that grows with the
 * square of their number, which a peer chooses. Returns false when the arena's limit would be passed. */
bool text_map(struct arena *a, struct str s, bool fold, bool (*keep)(int32_t c), struct str *out);

/* What may stand between tag characters, never last: joiners and the marks that some scripts put inside words. */
bool text_is_tag_medial(int32_t c);

/* link.c. If the ':' or '/' at this byte belongs to the beginning of a link, returns the byte behind the link; else the
 * byte behind this one. Looks back at most some hundred bytes. */
size_t text_link_end(struct str s, size_t at);
/* If the text from here on is the rest of an address's local part ("b" of "a.b@example.org"), returns the byte of its
 * '@'; else from. */
size_t text_address_end(struct str s, size_t from);
/* Whether the text from here on is the rest of a host's name: ".org" of "example.org". */
bool text_is_domain_rest(struct str s, size_t from);

/* Unicode's Default_Ignorable_Code_Point: shown as nothing. */
bool text_is_default_ignorable(int32_t c);

#endif
