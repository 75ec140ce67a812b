/* The head of an HTTP/1.1 request: see http1_parse.h. */
#include "core/http/http1_parse.h"

#include <string.h>

struct tally {
    int hosts, lengths, codings;
};

static int refuse(struct http1_head *out, int status, const char *why) {
    out->why = why;
    return status;
}

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

/* The blanks of HTTP only. */
static struct str trim_blanks(struct str s) {
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) s.len--;
    return s;
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

static bool is_host_char(unsigned char c, bool in_brackets) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c && strchr(in_brackets ? ":.%-_~" : "-._~%!$&'()*+,;=", c) != NULL;
}

/* A name or address, one of IPv6 in brackets, and perhaps a port. */
static bool is_host(struct str s) {
    bool in_brackets = s.len && s.ptr[0] == '[';
    size_t i = in_brackets, from = i;
    while (i < s.len && is_host_char((unsigned char)s.ptr[i], in_brackets)) i++;
    if (i == from) return false;
    if (in_brackets && (i == s.len || s.ptr[i++] != ']')) return false;
    if (i == s.len) return true;
    if (s.ptr[i++] != ':' || s.len - i > 5) return false;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') i++;
    return i == s.len;
}

/* Proxies may send the absolute form; what is served does not depend on its authority. */
static bool parse_target(struct str target, struct http1_head *out) {
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || (unsigned char)target.ptr[i] >= 0x7f) return false;
    if (cut_prefix_ci(&target, STR("http://")) || cut_prefix_ci(&target, STR("https://"))) {
        const char *slash = memchr(target.ptr, '/', target.len);
        size_t n = slash ? (size_t)(slash - target.ptr) : target.len;
        if (!is_host((struct str){target.ptr, n})) return false;
        target = slash ? (struct str){slash, target.len - n} : STR("/");
    }
    out->target = target;
    return target.len > 0 && (target.ptr[0] == '/' || str_eq(target, STR("*")));
}

static int parse_request_line(struct str line, struct http1_head *out) {
    struct str method = str_cut(&line, ' ');
    struct str target = str_cut(&line, ' ');
    if (!is_token(method)) return refuse(out, 400, "the request line does not begin with a method");
    out->method = http_method_from(method);
    if (!str_starts_with(line, STR("HTTP/")) || line.len != 8)
        return refuse(out, 400, "the request line must be: METHOD PATH HTTP/1.1");
    if (str_eq(line, STR("HTTP/1.1"))) {
        out->minor = 1;
    } else if (str_eq(line, STR("HTTP/1.0"))) {
        out->minor = 0;
    } else {
        return refuse(out, 505,
                      "this version of HTTP is not spoken here: use HTTP/1.1, or HTTP/2 with its preface");
    }
    out->keep_alive = out->minor == 1;
    return parse_target(target, out)
               ? 0
               : refuse(out, 400, "the request's target must be a path that begins with /, in visible ASCII");
}

static int parse_length(struct str value, struct http1_head *out) {
    int64_t n;
    if (value.len == 0 || value.len > 15 || value.ptr[0] == '-' || !str_to_i64(value, &n))
        return refuse(out, 400, "content-length must be a number of at most 15 digits");
    out->content_length = n;
    return 0;
}

static void parse_connection(struct str value, struct http1_head *out) {
    while (value.len) {
        struct str token = trim_blanks(str_cut(&value, ','));
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
        if (str_eq_ci(value, STR("chunked"))) return 0;
        return refuse(out, 501, "the only transfer-encoding that is understood is chunked");
    }
    if (str_eq(name, STR("host"))) {
        t->hosts++;
        if (!is_host(value)) return refuse(out, 400, "host must be a name or an address, and perhaps a port");
    }
    if (str_eq(name, STR("connection"))) parse_connection(value, out);
    if (str_eq(name, STR("expect"))) {
        if (!str_eq_ci(value, STR("100-continue")))
            return refuse(out, 417, "the only expectation that is understood is 100-continue");
        out->expect_continue = true;
    }
    return 0;
}

bool http1_may_begin(char c) {
    return is_token_char((unsigned char)c) || c == '\r'; /* a stray line may stand before a request */
}

/* A folded line has no token before its colon. */
bool http1_is_field(struct str line) {
    const char *colon = memchr(line.ptr, ':', line.len);
    return colon && is_token(str_cut(&line, ':')) && is_value(line);
}

static int parse_field(struct str line, struct http1_head *out, struct http_fields *fields, struct tally *t) {
    char lower[256];
    if (!http1_is_field(line))
        return refuse(out, 400, "a header field must be a line of its own: a name, a colon and a value");
    struct str name = str_cut(&line, ':'), value = trim_blanks(line);
    if (name.len > sizeof lower || fields->n >= HTTP_MAX_FIELDS)
        return refuse(out, 431, "the request has too many header fields, or one with too long a name");
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    name.ptr = lower;
    http_fields_add(fields, name, value);
    return understand(name, value, out, t);
}

static int check_framing(struct http1_head *h, const struct tally *t) {
    if (t->hosts > 1 || (h->minor == 1 && t->hosts != 1))
        return refuse(h, 400, "a request must have one host field");
    if (t->lengths > 1 || t->codings > 1 || (t->lengths && t->codings))
        return refuse(h, 400, "a body has one content-length, or one transfer-encoding, and not both");
    if (h->chunked && h->minor == 0) return refuse(h, 400, "HTTP/1.0 has no transfer-encoding");
    return 0;
}

int http1_parse_head(struct str head, struct http1_head *out, struct http_fields *fields) {
    struct tally tally = {0};
    struct str line;
    *out = (struct http1_head){.method = HTTP_OTHER, .content_length = -1};
    if (!next_line(&head, &line)) return refuse(out, 400, "the request has no end");
    int status = parse_request_line(line, out);
    while (status == 0) {
        if (!next_line(&head, &line)) return refuse(out, 400, "the request has no end");
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
