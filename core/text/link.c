/* Links and addresses in a text, so that no mention and no hashtag is cut out of one.
 *
 * A link begins with a scheme and "://", with one of the schemes below and ":", with anything and ":?" (magnet:?xt=),
 * or with the name of a host and "/" (example.org/@ada). It goes on through everything that people see in an address
 * bar: printable ASCII but quotes, brackets and braces; and letters, digits, marks and dashes of any script. So it ends
 * at a blank, an emoji, or the punctuation of a script that is written without blanks.
 */
#include <string.h>
#include <utf8proc.h>

#include "core/text/text_internal.h"

enum {
    HOST_MAX = 253,
    SCHEME_MAX = 32,
    APOSTROPHE = 0x2019,
};

/* Those that people write in texts, and nobody puts before a mention ("cc:@ada", "news:@ada"). */
static const char *const SCHEMES[] = {"magnet", "mailto", "urn", "xmpp", "sip",    "sips",
                                      "acct",   "tel",    "sms", "did",  "bitcoin"};

static bool is_letter(int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || k == UTF8PROC_CATEGORY_MN ||
           k == UTF8PROC_CATEGORY_MC;
}

static bool is_ascii_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_wide(char c) {
    return (unsigned char)c >= 0x80;
}

/* ---- how far it goes ----------------------------------------------------------------------------------- */

static bool is_in_link(int32_t c) {
    if (c < 0x80) return c > ' ' && c < 0x7F && !strchr("\"<>\\^`{|}", (char)c);
    if (is_letter(c) || text_is_tag_medial(c)) return true;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD: return true;
    default: return c == APOSTROPHE;
    }
}

static size_t end_of_link(struct str s, size_t from) {
    size_t end = from;
    while (end < s.len) {
        size_t pos = end;
        if (!is_in_link(text_next(s, &pos))) break;
        end = pos;
    }
    return end;
}

/* ---- how it begins ------------------------------------------------------------------------------------- */

static bool is_in_scheme(char c) {
    return c != '_' && (is_ascii_word(c) || c == '+' || c == '.' || c == '-');
}

/* The longest run of such bytes that ends before `end`. */
static struct str run_before(struct str s, size_t end, size_t most, bool (*is_in)(char c)) {
    size_t from = end;
    while (from > 0 && end - from < most && is_in(s.ptr[from - 1])) from--;
    return (struct str){s.ptr + from, end - from};
}

static bool has_scheme(struct str s, size_t colon) {
    struct str word = run_before(s, colon, SCHEME_MAX, is_in_scheme);
    struct str rest = {s.ptr + colon + 1, s.len - colon - 1};
    if (word.len == 0) return false;
    if (str_starts_with(rest, STR("//")) || str_starts_with(rest, STR("?"))) return true;
    for (size_t i = 0; i < sizeof SCHEMES / sizeof *SCHEMES; i++)
        if (str_eq_ci(word, str_from(SCHEMES[i]))) return true;
    return false;
}

static bool is_in_host(char c) {
    return c != '_' && (is_ascii_word(c) || c == '.' || c == '-' || is_wide(c));
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* "org", "рф", "xn--p1ai" */
static bool is_top_level(struct str label) {
    if (str_starts_with(label, STR("xn--"))) return label.len > 4;
    size_t letters = 0;
    for (size_t pos = 0; pos < label.len; letters++)
        if (!is_letter(text_next(label, &pos))) return false;
    return letters >= 2;
}

/* "192.0.2.1" */
static bool is_address(struct str host) {
    int parts = 0;
    while (host.len > 0) {
        struct str part = str_cut(&host, '.');
        if (part.len < 1 || part.len > 3) return false;
        for (size_t i = 0; i < part.len; i++)
            if (!is_digit(part.ptr[i])) return false;
        parts++;
    }
    return parts == 4;
}

static bool is_host(struct str host) {
    size_t dot = host.len;
    while (dot > 0 && host.ptr[dot - 1] != '.') dot--;
    if (dot < 2 || host.ptr[dot - 2] == '.' || host.ptr[dot - 2] == '-') return false;
    return is_top_level((struct str){host.ptr + dot, host.len - dot}) || is_address(host);
}

/* "example.org" or "example.org:8080" before the slash. */
static bool has_host(struct str s, size_t slash) {
    struct str port = run_before(s, slash, 5, is_digit);
    size_t end = slash - port.len;
    if (port.len > 0 && end > 0 && s.ptr[end - 1] == ':')
        end--;
    else
        end = slash;
    return is_host(run_before(s, end, HOST_MAX, is_in_host));
}

size_t text_link_end(struct str s, size_t at) {
    bool begins = s.ptr[at] == ':' ? has_scheme(s, at) : s.ptr[at] == '/' && has_host(s, at);
    return begins ? end_of_link(s, at + 1) : at + 1;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

static bool may_begin_host(struct str s, size_t at) {
    return at < s.len && (is_ascii_word(s.ptr[at]) || is_wide(s.ptr[at]));
}

size_t text_address_end(struct str s, size_t from) {
    size_t at = from;
    while (at < s.len &&
           (is_ascii_word(s.ptr[at]) || s.ptr[at] == '.' || s.ptr[at] == '-' || s.ptr[at] == '+'))
        at++;
    bool is_local = at > from && at < s.len && s.ptr[at] == '@' && is_ascii_word(s.ptr[at - 1]);
    return is_local && may_begin_host(s, at + 1) ? at : from;
}

bool text_is_domain_rest(struct str s, size_t from) {
    if (from >= s.len || s.ptr[from] != '.') return false;
    struct str rest = {s.ptr + from + 1, s.len - from - 1};
    size_t n = 0;
    while (n < rest.len && n < HOST_MAX && is_in_host(rest.ptr[n]) && !is_wide(rest.ptr[n])) n++;
    while (n > 0 && !is_ascii_word(rest.ptr[n - 1])) n--;
    size_t dot = n;
    while (dot > 0 && rest.ptr[dot - 1] != '.') dot--;
    return is_top_level((struct str){rest.ptr + dot, n - dot});
}
