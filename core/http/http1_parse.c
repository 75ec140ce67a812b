/* The head of an HTTP/1.1 request: see http1_parse.h. */
#include "core/http/http1_parse.h"

#include <string.h>

struct tally {
    int hosts, lengths, codings;
};

/* RFC 9110 token characters. */
static bool is_token_char(unsigned char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char((unsigned char)s.ptr[i])) return false;
    return s.len > 0;
}

/* Field values: visible bytes, blanks and tabs, and bytes beyond ASCII. */
static bool is_value(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

/* The next line without its CRLF. It may hold a bare CR or LF: the parser of each part refuses these. */
static bool next_line(struct str *rest, struct str *line) {
    const char *end = memmem(rest->ptr, rest->len, "\r\n", 2);
    if (!end) return false;
    *line = (struct str){rest->ptr, (size_t)(end - rest->ptr)};
    rest->len -= line->len + 2;
    rest->ptr = end + 2;
    return true;
}

static bool cut_prefix_ci(struct str *s, struct str prefix) {
    if (s->len < prefix.len || !str_eq_ci((struct str){s->ptr, prefix.len}, prefix)) return false;
    s->ptr += prefix.len;
    s->len -= prefix.len;
    return true;
}

/* Proxies may send the absolute form; checking the authority was their task. */
static bool parse_target(struct str target, struct http1_head *out) {
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || (unsigned char)target.ptr[i] >= 0x7f) return false;
    if (cut_prefix_ci(&target, STR("http://")) || cut_prefix_ci(&target, STR("https://"))) {
        const char *slash = memchr(target.ptr, '/', target.len);
        if (!slash) {
            out->target = STR("/");
            return true;
        }
        target.len -= (size_t)(slash - target.ptr);
        target.ptr = slash;
    }
    out->target = target;
    return target.len > 0 && (target.ptr[0] == '/' || str_eq(target, STR("*")));
}

static int parse_request_line(struct str line, struct http1_head *out) {
    struct str method = str_cut(&line, ' ');
    struct str target = str_cut(&line, ' ');
    if (!is_token(method)) return 400;
    out->method = str_eq(method, STR("POST"))   ? HTTP_POST
                  : str_eq(method, STR("GET"))  ? HTTP_GET
                  : str_eq(method, STR("HEAD")) ? HTTP_HEAD
                                                : HTTP_OTHER;
    if (!str_starts_with(line, STR("HTTP/")) || line.len != 8) return 400;
    if (str_eq(line, STR("HTTP/1.1"))) {
        out->minor = 1;
    } else if (str_eq(line, STR("HTTP/1.0"))) {
        out->minor = 0;
    } else {
        return 505;
    }
    out->keep_alive = out->minor == 1;
    return parse_target(target, out) ? 0 : 400;
}

static int parse_length(struct str value, struct http1_head *out) {
    int64_t n;
    if (value.len == 0 || value.len > 15 || value.ptr[0] == '-' || !str_to_i64(value, &n)) return 400;
    out->content_length = n;
    return 0;
}

static void parse_connection(struct str value, struct http1_head *out) {
    while (value.len) {
        struct str token = str_trim(str_cut(&value, ','));
        if (str_eq_ci(token, STR("close"))) out->keep_alive = false;
        if (str_eq_ci(token, STR("keep-alive")) && out->minor == 0) out->keep_alive = true;
    }
}

/* Fields that change how the message is read. */
static int understand(struct str name, struct str value, struct http1_head *out, struct tally *t) {
    if (str_eq(name, STR("content-length"))) {
        t->lengths++;
        return parse_length(value, out);
    }
    if (str_eq(name, STR("transfer-encoding"))) {
        t->codings++;
        out->chunked = true;
        return str_eq_ci(value, STR("chunked")) ? 0 : 501;
    }
    if (str_eq(name, STR("host"))) t->hosts++;
    if (str_eq(name, STR("connection"))) parse_connection(value, out);
    if (str_eq(name, STR("expect"))) {
        if (!str_eq_ci(value, STR("100-continue"))) return 417;
        out->expect_continue = true;
    }
    return 0;
}

static int parse_field(struct str line, struct http1_head *out, struct http_fields *fields, struct tally *t) {
    char lower[256];
    struct str name = str_cut(&line, ':');
    bool has_colon = name.ptr[name.len] == ':';    /* else its CR: a line is followed by CRLF */
    if (!has_colon || !is_token(name)) return 400; /* a folded line has no token before its colon */
    if (!is_value(line)) return 400;
    struct str value = str_trim(line);
    if (name.len > sizeof lower || fields->n >= HTTP_MAX_FIELDS) return 431;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    name.ptr = lower;
    http_fields_add(fields, name, value);
    return understand(name, value, out, t);
}

static int check_framing(const struct http1_head *h, const struct tally *t) {
    if (t->hosts > 1 || (h->minor == 1 && t->hosts != 1)) return 400;
    if (t->lengths > 1 || t->codings > 1 || (t->lengths && t->codings)) return 400;
    if (h->chunked && h->minor == 0) return 400;
    return 0;
}

int http1_parse_head(struct str head, struct http1_head *out, struct http_fields *fields) {
    struct tally tally = {0};
    struct str line;
    *out = (struct http1_head){.method = HTTP_OTHER, .content_length = -1};
    if (!next_line(&head, &line)) return 400;
    int status = parse_request_line(line, out);
    while (status == 0) {
        if (!next_line(&head, &line)) return 400;
        if (line.len == 0) return check_framing(out, &tally);
        status = parse_field(line, out, fields, &tally);
    }
    return status;
}

bool http1_parse_chunk_size(struct str line, uint64_t *out) {
    struct str digits = str_cut(&line, ';');
    uint64_t v = 0;
    if (digits.len == 0 || digits.len > 15 || !is_value(line)) return false;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
        if (d == 16) return false;
        v = v * 16 + d;
    }
    *out = v;
    return true;
}
