/* One rule, one text. The cheap bounds come first, so that what is far too long is not looked at. */
#include "core/text/rule.h"

#include <utf8proc.h>

#include "core/text/text.h"
#include "core/text/text_internal.h"

/* NULL when n is in the range; else a sentence. least 0: only the most is spoken of. */
static const char *check_range(struct arena *a, size_t n, size_t least, size_t most, const char *unit) {
    if (n >= least && n <= most) return NULL;
    if (least == 0) return arena_printf(a, "must be at most %zu %s, this has %zu", most, unit, n);
    if (least == most) return arena_printf(a, "must be %zu %s, this has %zu", most, unit, n);
    return arena_printf(a, "must be %zu to %zu %s, this has %zu", least, most, unit, n);
}

/* ---- handles ------------------------------------------------------------------------------------------- */

static char lowered(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool may_be_in_handle(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *take_handle(const struct text_rule *rule, struct arena *a, struct str raw,
                               struct str *out) {
    bool right = raw.len >= rule->min_characters && raw.len <= rule->max_characters;
    char *handle = arena_strndup(a, raw.ptr, right ? raw.len : 0);
    for (size_t i = 0; right && i < raw.len; i++) {
        handle[i] = lowered(handle[i]);
        right = may_be_in_handle(handle[i]);
    }
    *out = (struct str){handle, raw.len};
    if (right) return NULL;
    return arena_printf(a, "must be %u to %u of a-z, 0-9 and _", rule->min_characters, rule->max_characters);
}

/* ---- lines and texts ----------------------------------------------------------------------------------- */

/* Embeddings, overrides and isolates turn round the text that follows a name on the page. */
static bool is_bidi_control(int32_t c) {
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

static bool is_line_separator(int32_t c) {
    return c == 0x2028 || c == 0x2029;
}

static bool is_control(int32_t c) {
    return utf8proc_category(c) == UTF8PROC_CATEGORY_CC;
}

static const char *check_code_point(enum text_form form, int32_t c) {
    if (form == TEXT_LINES && is_control(c) && c != '\n')
        return "must have no control characters but line feeds";
    if (form != TEXT_LINE) return NULL;
    if (is_control(c) || is_line_separator(c)) return "must be one line without control characters";
    return is_bidi_control(c) ? "must have no bidirectional embeddings, overrides and isolates" : NULL;
}

static const char *check_code_points(enum text_form form, struct str s) {
    const char *wrong = NULL;
    for (size_t pos = 0; pos < s.len && !wrong;) wrong = check_code_point(form, text_next(s, &pos));
    return wrong;
}

static const char *check_size(const struct text_rule *rule, struct arena *a, struct str s) {
    struct text_size size = text_measure(s);
    const char *wrong =
        check_range(a, size.characters, rule->min_characters, rule->max_characters, "characters");
    if (wrong) return wrong;
    if (size.longest_bytes <= TEXT_CHARACTER_BYTES)
        return rule->max_bytes > 0 ? check_range(a, s.len, 0, rule->max_bytes, "bytes") : NULL;
    return arena_printf(a, "must have at most %d bytes in a character with its marks, this has one of %zu",
                        TEXT_CHARACTER_BYTES, size.longest_bytes);
}

static const char *check_not_blank(const struct text_rule *rule, struct str s) {
    return rule->min_characters > 0 && text_is_blank(s) ? "must not be blank" : NULL;
}

static enum error take_text(const struct text_rule *rule, struct arena *a, struct str raw, struct str *out,
                            const char **why) {
    *why = check_range(a, raw.len, 0, (size_t)rule->max_characters * TEXT_SENT_CHARACTER_BYTES, "bytes");
    if (!*why && !str_is_utf8(raw)) *why = "must be UTF-8 without U+0000";
    if (*why) return ERR_INVALID_ARGUMENT;
    *why = "needs more memory than a call may have";
    if (!text_normalize(a, raw, out)) return ERR_RESOURCE_EXHAUSTED;
    *why = check_code_points(rule->form, *out);
    if (!*why) *why = check_size(rule, a, *out);
    if (!*why) *why = check_not_blank(rule, *out);
    return *why ? ERR_INVALID_ARGUMENT : ERR_OK;
}

static const char *take_as_is(const struct text_rule *rule, struct arena *a, struct str raw,
                              struct str *out) {
    *out = raw;
    const char *wrong = check_range(a, raw.len, rule->min_bytes, rule->max_bytes, "bytes");
    return wrong ? wrong : check_not_blank(rule, raw);
}

static enum error take_password(const struct text_rule *rule, struct arena *a, struct str raw,
                                struct str *out, const char **why) {
    bool far_too_long = raw.len > (size_t)rule->max_bytes * TEXT_SENT_PASSWORD_RATIO;
    if (!far_too_long && !str_is_utf8(raw)) *why = "must be UTF-8 without U+0000";
    if (*why) return ERR_INVALID_ARGUMENT;
    *why = "needs more memory than a call may have";
    if (!far_too_long && !text_password(a, raw, out)) return ERR_RESOURCE_EXHAUSTED;
    *why = check_range(a, out->len, rule->min_bytes, rule->max_bytes, "bytes");
    return *why ? ERR_INVALID_ARGUMENT : ERR_OK;
}

enum error text_rule_apply(const struct text_rule *rule, struct arena *a, struct str raw, struct str *out,
                           const char **why) {
    *why = NULL;
    *out = raw;
    if (raw.len == 0 && rule->may_be_empty) return ERR_OK;
    switch (rule->form) {
    case TEXT_AS_IS: *why = take_as_is(rule, a, raw, out); break;
    case TEXT_HANDLE: *why = take_handle(rule, a, raw, out); break;
    case TEXT_LINE:
    case TEXT_LINES:
    case TEXT_FREE: return take_text(rule, a, raw, out, why);
    case TEXT_PASSWORD: return take_password(rule, a, raw, out, why);
    }
    return *why ? ERR_INVALID_ARGUMENT : ERR_OK;
}
