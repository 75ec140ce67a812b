/* Normal forms and counting of texts. The Unicode data is utf8proc's. */
#include "core/text/text.h"

#include <string.h>
#include <utf8proc.h>

#include "core/text/text_internal.h"

enum {
    ZWNJ = 0x200C,
    ZWJ = 0x200D,
    DECOMPOSED_MAX = 32, /* code points from one; Unicode's longest has 18 */
    LONG_RUN = 16,       /* marks in a row from which counting beats insertion */
    COMBINING_CLASSES = 256,
};

int32_t text_next(struct str s, size_t *pos) {
    unsigned char first = (unsigned char)s.ptr[*pos];
    if (first < 0x80) {
        (*pos)++;
        return first;
    }
    size_t left = s.len - *pos;
    int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)s.ptr + *pos, left > 4 ? 4 : (int)left, &c);
    if (n <= 0) {
        (*pos)++;
        return 0xFFFD;
    }
    *pos += (size_t)n;
    return c;
}

/* --- normal forms ------------------------------------------------------------------------------------ */

struct code_points {
    int32_t *v;
    size_t len;
};

static utf8proc_option_t map_options(bool fold) {
    int options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    if (fold) options |= UTF8PROC_COMPAT | UTF8PROC_CASEFOLD;
    return (utf8proc_option_t)options;
}

/* Fills out->v when it is there, else only counts. */
static void decompose(struct str s, bool fold, bool (*keep)(int32_t c), struct code_points *out) {
    out->len = 0;
    for (size_t pos = 0; pos < s.len;) {
        int32_t parts[DECOMPOSED_MAX];
        int boundclass = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char(text_next(s, &pos), parts, DECOMPOSED_MAX,
                                                     map_options(fold), &boundclass);
        for (utf8proc_ssize_t i = 0; i < n && i < DECOMPOSED_MAX; i++) {
            if (keep && !keep(parts[i])) continue;
            if (out->v) out->v[out->len] = parts[i];
            out->len++;
        }
    }
}

static unsigned combining_class(int32_t c) {
    return (unsigned)utf8proc_get_property(c)->combining_class % COMBINING_CLASSES;
}

static void order_short_run(int32_t *v, size_t len) {
    for (size_t i = 1; i < len; i++) {
        int32_t c = v[i];
        size_t at = i;
        for (; at && combining_class(v[at - 1]) > combining_class(c); at--) v[at] = v[at - 1];
        v[at] = c;
    }
}

/* A counting sort; scratch has room for len. */
static void order_long_run(int32_t *v, size_t len, int32_t *scratch) {
    size_t start[COMBINING_CLASSES + 1] = {0};
    for (size_t i = 0; i < len; i++) start[combining_class(v[i]) + 1]++;
    for (size_t k = 1; k <= COMBINING_CLASSES; k++) start[k] += start[k - 1];
    for (size_t i = 0; i < len; i++) scratch[start[combining_class(v[i])]++] = v[i];
    memcpy(v, scratch, len * sizeof(*v));
}

/* The Canonical Ordering Algorithm (Unicode, D109): runs of marks by class, equal classes as they stood. */
static void order_marks(struct code_points *c, int32_t *scratch) {
    for (size_t i = 0; i < c->len;) {
        size_t run = i;
        while (run < c->len && combining_class(c->v[run])) run++;
        if (run - i > LONG_RUN) {
            order_long_run(c->v + i, run - i, scratch);
        } else if (run - i > 1) {
            order_short_run(c->v + i, run - i);
        }
        i = run + 1;
    }
}

static bool encode(struct arena *a, const struct code_points *c, struct str *out) {
    size_t len = 0;
    utf8proc_uint8_t bytes[4];
    for (size_t i = 0; i < c->len; i++) len += (size_t)utf8proc_encode_char(c->v[i], bytes);
    char *text = arena_try_alloc(a, len + 1);
    if (!text) return false;
    char *at = text;
    for (size_t i = 0; i < c->len; i++) {
        size_t n = (size_t)utf8proc_encode_char(c->v[i], bytes);
        memcpy(at, bytes, n);
        at += n;
    }
    *at = '\0';
    *out = (struct str){text, len};
    return true;
}

bool text_map(struct arena *a, struct str s, bool fold, bool (*keep)(int32_t c), struct str *out) {
    struct code_points c = {NULL, 0};
    decompose(s, fold, keep, &c);
    size_t bytes = c.len * sizeof(int32_t);
    int32_t *scratch = arena_try_alloc(a, bytes);
    c.v = arena_try_alloc(a, bytes);
    if (!scratch || !c.v) return false;
    decompose(s, fold, keep, &c);
    order_marks(&c, scratch);
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(c.v, (utf8proc_ssize_t)c.len, map_options(fold));
    if (composed < 0) return false;
    c.len = (size_t)composed;
    return encode(a, &c, out);
}

/* Below U+0300 (whose first byte is 0xCC) every text is NFC. */
static bool is_plainly_nfc(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0xCC) return false;
    }
    return true;
}

bool text_normalize(struct arena *a, struct str raw, struct str *out) {
    if (!str_is_utf8(raw)) return false;
    if (!is_plainly_nfc(raw)) return text_map(a, raw, false, NULL, out);
    char *copy = arena_try_alloc(a, raw.len + 1);
    if (!copy) return false;
    if (raw.len) memcpy(copy, raw.ptr, raw.len);
    copy[raw.len] = '\0';
    *out = (struct str){copy, raw.len};
    return true;
}

static bool is_wide_blank(int32_t c) {
    return c != ' ' && utf8proc_category(c) == UTF8PROC_CATEGORY_ZS;
}

bool text_password(struct arena *a, struct str raw, struct str *out) {
    struct str nfc;
    if (!text_normalize(a, raw, &nfc)) return false;
    char *text = (char *)(uintptr_t)nfc.ptr, *at = text; /* blanks only become shorter */
    for (size_t pos = 0; pos < nfc.len;) {
        size_t from = pos;
        bool blank = is_wide_blank(text_next(nfc, &pos));
        if (blank) {
            *at++ = ' ';
        } else {
            memmove(at, text + from, pos - from);
            at += pos - from;
        }
    }
    *at = '\0';
    *out = (struct str){text, (size_t)(at - text)};
    return true;
}

/* --- counting ---------------------------------------------------------------------------------------- */

/* Rule GB9c of UAX #29: a conjunct of Indic consonants is one character. utf8proc knows it from 2.9 on. */
struct range {
    int32_t first, last;
};

static const struct range conjunct_consonants[] = {
    {0x0915, 0x0939}, {0x0958, 0x095F}, {0x0978, 0x097F}, {0x0995, 0x09A8}, {0x09AA, 0x09B0},
    {0x09B2, 0x09B2}, {0x09B6, 0x09B9}, {0x09DC, 0x09DD}, {0x09DF, 0x09DF}, {0x09F0, 0x09F1},
    {0x0A95, 0x0AA8}, {0x0AAA, 0x0AB0}, {0x0AB2, 0x0AB3}, {0x0AB5, 0x0AB9}, {0x0AF9, 0x0AF9},
    {0x0B15, 0x0B28}, {0x0B2A, 0x0B30}, {0x0B32, 0x0B33}, {0x0B35, 0x0B39}, {0x0B5C, 0x0B5D},
    {0x0B5F, 0x0B5F}, {0x0B71, 0x0B71}, {0x0C15, 0x0C28}, {0x0C2A, 0x0C39}, {0x0C58, 0x0C5A},
    {0x0D15, 0x0D3A},
};

static bool is_conjunct_consonant(int32_t c) {
    if (c < 0x0915 || c > 0x0D3A) return false;
    for (size_t i = 0; i < sizeof(conjunct_consonants) / sizeof(conjunct_consonants[0]); i++) {
        if (c >= conjunct_consonants[i].first && c <= conjunct_consonants[i].last) return true;
    }
    return false;
}

static bool is_conjunct_linker(int32_t c) {
    return c == 0x094D || c == 0x09CD || c == 0x0ACD || c == 0x0B4D || c == 0x0C4D || c == 0x0D4D;
}

enum conjunct { NO_CONJUNCT, AFTER_CONSONANT, AFTER_LINKER };

static enum conjunct conjunct_next(enum conjunct state, int32_t c) {
    if (is_conjunct_consonant(c)) return AFTER_CONSONANT;
    if (state == NO_CONJUNCT) return NO_CONJUNCT;
    if (is_conjunct_linker(c)) return AFTER_LINKER;
    unsigned class = utf8proc_get_property(c)->boundclass;
    bool extends = class == UTF8PROC_BOUNDCLASS_EXTEND || class == UTF8PROC_BOUNDCLASS_ZWJ;
    return extends && c != ZWNJ ? state : NO_CONJUNCT;
}

/* ASCII after ASCII, most of most texts: always two characters, but for CR LF. */
static bool is_plain_pair(int32_t before, int32_t c) {
    return before < 0x80 && c < 0x80 && !(before == '\r' && c == '\n');
}

struct text_size text_measure(struct str s) {
    struct text_size size = {0, 0};
    size_t start = 0; /* of the character */
    int32_t before = 0, state = 0;
    enum conjunct conjunct = NO_CONJUNCT;
    for (size_t pos = 0; pos < s.len;) {
        size_t here = pos;
        int32_t c = text_next(s, &pos);
        bool joined = false;
        if (is_plain_pair(before, c)) {
            state = 0;
        } else {
            joined = here > 0 && !utf8proc_grapheme_break_stateful(before, c, &state);
        }
        if (conjunct == AFTER_LINKER && is_conjunct_consonant(c)) joined = true;
        if (!joined) {
            size.characters++;
            start = here;
        }
        if (pos - start > size.longest_bytes) size.longest_bytes = pos - start;
        conjunct = conjunct_next(conjunct, c);
        before = c;
    }
    return size;
}

/* --- what is seen ------------------------------------------------------------------------------------------ */

/* UAX #31, tables 3a and 3b: ZWNJ, ZWJ, middle dot, geresh, gershayim, tsheg, katakana middle dot. */
bool text_is_tag_medial(int32_t c) {
    return c == ZWNJ || c == ZWJ || c == 0x00B7 || c == 0x05F3 || c == 0x05F4 || c == 0x0F0B || c == 0x30FB;
}

bool text_is_default_ignorable(int32_t c) {
    return utf8proc_get_property(c)->ignorable;
}

static bool is_invisible(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC: return true; /* White_Space and the controls that are not */
    default: return text_is_default_ignorable(c);
    }
}

bool text_is_blank(struct str s) {
    for (size_t pos = 0; pos < s.len;) {
        if (!is_invisible(text_next(s, &pos))) return false;
    }
    return true;
}
