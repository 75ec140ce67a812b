/* The head of an HTTP/1.1 request: what is understood, and that all else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/http/http1_parse.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TOKEN_MARKS "!#$%&'*+-.^_`|~"

struct parsed {
    struct http1_head head;
    struct http_fields fields;
    int status;
};

static struct parsed parse(struct str text) {
    struct parsed p = {0};
    p.status = http1_parse_head(text, &p.head, &p.fields);
    return p;
}

static int status_of(struct str text) {
    struct parsed p = parse(text);
    http_fields_free(&p.fields);
    return p.status;
}

/* A request for / with these lines, each ended by CRLF, behind its Host. */
static struct str request(const char *version, const char *lines) {
    static char text[32768];
    int n = snprintf(text, sizeof text, "GET / HTTP/%s\r\nHost: x\r\n%s\r\n", version, lines);
    return (struct str){text, (size_t)n};
}

/* "BEFORE c AFTER", where c may be any byte. */
static struct str around(const char *before, int c, const char *after) {
    static char text[256];
    size_t n = strlen(before);
    memcpy(text, before, n);
    text[n] = (char)c;
    strcpy(text + n + 1, after);
    return (struct str){text, n + 1 + strlen(after)};
}

static bool is_token_byte(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr(TOKEN_MARKS, c));
}

static void heads_are_understood(void **state) {
    struct str v;
    (void)state;
    struct parsed p = parse(STR("POST http://a.example/b?c HTTP/1.1\r\nHOST: a\r\nX-Y:  z \t\r\nEmpty:\r\n"
                                "Connection: x, Close\r\nContent-Length: 12\r\n\r\n"));
    assert_int_equal(p.status, 0);
    assert_int_equal(p.head.method, HTTP_POST);
    assert_true(str_eq(p.head.target, STR("/b?c")));
    assert_int_equal(p.head.minor, 1);
    assert_false(p.head.keep_alive);
    assert_false(p.head.chunked);
    assert_false(p.head.expect_continue);
    assert_int_equal(p.head.content_length, 12);
    assert_int_equal(p.fields.n, 5);
    assert_true(http_fields_find(&p.fields, STR("x-y"), &v) && str_eq(v, STR("z")));
    assert_true(http_fields_find(&p.fields, STR("empty"), &v) && v.len == 0);
    http_fields_free(&p.fields);
}

static void no_prefix_of_a_head_is_a_head(void **state) {
    const char *text = "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
    (void)state;
    for (size_t n = 0; n < strlen(text); n++) assert_int_not_equal(status_of((struct str){text, n}), 0);
}

/* A tab may stand in a value; no other control character anywhere, be it a bare CR, a bare LF or a blank that only some
 * trim. */
static void a_control_character_is_refused_wherever_it_stands(void **state) {
    const char *text = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n";
    (void)state;
    for (size_t at = 0; at < strlen(text) - 1;
         at++) { /* before the last LF one more would only end it sooner */
        char before[128];
        snprintf(before, sizeof before, "%.*s", (int)at, text);
        for (int c = 0; c < 0x20; c++)
            if (c != '\t') assert_int_equal(status_of(around(before, c, text + at)), 400);
        assert_int_equal(status_of(around(before, 0x7f, text + at)), 400);
    }
}

static void methods_are_known_by_their_exact_name(void **state) {
    static const struct {
        const char *name;
        enum http_method method;
    } cases[] = {{"GET", HTTP_GET},    {"POST", HTTP_POST},       {"HEAD", HTTP_HEAD}, {"get", HTTP_OTHER},
                 {"GETS", HTTP_OTHER}, {"OPTIONS", HTTP_OPTIONS}, {"PUT", HTTP_OTHER}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].name);
        struct parsed p = parse((struct str){text, (size_t)n});
        assert_int_equal(p.status, 0);
        assert_int_equal(p.head.method, cases[i].method);
        http_fields_free(&p.fields);
    }
}

static void a_method_is_a_token(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++)
        assert_int_equal(status_of(around("", c, " / HTTP/1.1\r\nHost: x\r\n\r\n")),
                         is_token_byte(c) ? 0 : 400);
    assert_int_equal(status_of(STR(" / HTTP/1.1\r\nHost: x\r\n\r\n")), 400);
}

static void a_field_name_is_a_token_in_lower_case(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        if (c == '\r') continue; /* with the LF behind it the end of the head */
        struct parsed p = parse(around("GET / HTTP/1.1\r\nHost: x\r\n", c, ": v\r\n\r\n"));
        char lower = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        struct str v;
        assert_int_equal(p.status, is_token_byte(c) ? 0 : 400);
        assert_int_equal(p.status == 0, http_fields_find(&p.fields, (struct str){&lower, 1}, &v));
        http_fields_free(&p.fields);
    }
    assert_int_equal(status_of(request("1.1", ": v\r\n")), 400);
    assert_int_equal(status_of(request("1.1", "a : v\r\n")), 400);
    assert_int_equal(status_of(request("1.1", "a\r\n")), 400);
    assert_int_equal(status_of(request("1.1", " folded: v\r\n")), 400);
}

static void a_value_holds_no_control_characters_but_tabs(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool good = c == '\t' || (c >= 0x20 && c != 0x7f);
        assert_int_equal(status_of(around("GET / HTTP/1.1\r\nHost: x\r\nA: b", c, "d\r\n\r\n")),
                         good ? 0 : 400);
    }
}

static void a_target_is_visible_ascii(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool good = c > 0x20 && c < 0x7f;
        assert_int_equal(status_of(around("GET /a", c, "b HTTP/1.1\r\nHost: x\r\n\r\n")), good ? 0 : 400);
    }
}

static void targets_are_brought_to_the_origin_form(void **state) {
    static const struct {
        const char *target, *origin; /* NULL: refused */
    } cases[] = {
        {"/", "/"},
        {"/a?b", "/a?b"},
        {"*", "*"},
        {"http://a", "/"},
        {"http://a/b", "/b"},
        {"https://a", "/"},
        {"HTTPS://a:1/b/c", "/b/c"},
        {"a", NULL},
        {"*a", NULL},
        {"", NULL},
        {"http:/a/b", NULL},
        {"ftp://a/b", NULL},
        {"http://", NULL},
        {"http:///b", NULL},
        {"http://a b/", NULL},
        {"http://a@b/", NULL},
        {"http://[::1]:8080/b", "/b"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[128];
        int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].target);
        struct parsed p = parse((struct str){text, (size_t)n});
        assert_int_equal(p.status, cases[i].origin ? 0 : 400);
        if (cases[i].origin) assert_true(str_eq(p.head.target, str_from(cases[i].origin)));
        http_fields_free(&p.fields);
    }
}

static void versions_other_than_1_0_and_1_1_are_refused(void **state) {
    static const struct {
        const char *version;
        int status;
    } cases[] = {{"HTTP/1.1", 0},    {"HTTP/1.0", 0},   {"HTTP/1.2", 505}, {"HTTP/2.0", 505},
                 {"HTTP/1.10", 400}, {"HTTP/11", 400},  {"http/1.1", 400}, {"HTTQ/1.1", 400},
                 {"", 400},          {"HTTP/1.1 ", 400}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "GET / %s\r\nHost: x\r\n\r\n", cases[i].version);
        assert_int_equal(status_of((struct str){text, (size_t)n}), cases[i].status);
    }
}

static void a_connection_is_kept_as_its_version_and_field_say(void **state) {
    static const struct {
        const char *version, *lines;
        bool keep_alive;
    } cases[] = {
        {"1.1", "", true},
        {"1.0", "", false},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "Connection: keep-alive\r\n", true},
        {"1.0", "Connection: Keep-Alive\r\n", true},
        {"1.0", "Connection: x ,keep-alive, y\r\n", true},
        {"1.1", "Connection: close, keep-alive\r\n", false},
        {"1.1", "Connection: closed\r\n", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct parsed p = parse(request(cases[i].version, cases[i].lines));
        assert_int_equal(p.status, 0);
        assert_int_equal(p.head.minor, cases[i].version[2] - '0');
        assert_int_equal(p.head.keep_alive, cases[i].keep_alive);
        http_fields_free(&p.fields);
    }
}

static void a_content_length_is_up_to_15_digits(void **state) {
    static const struct {
        const char *value;
        int64_t length; /* -1: refused */
    } cases[] = {
        {"0", 0},
        {"7", 7},
        {"0012", 12},
        {"123456789012345", 123456789012345},
        {"1234567890123456", -1},
        {"", -1},
        {"-1", -1},
        {"-0", -1},
        {"+1", -1},
        {"1 2", -1},
        {"/", -1},
        {":", -1},
        {"0x1", -1},
        {"1,1", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[64];
        snprintf(line, sizeof line, "Content-Length: %s\r\n", cases[i].value);
        struct parsed p = parse(request("1.1", line));
        assert_int_equal(p.status, cases[i].length < 0 ? 400 : 0);
        assert_int_equal(p.head.content_length, cases[i].length);
        http_fields_free(&p.fields);
    }
}

static void without_fields_of_its_own_a_request_has_no_body(void **state) {
    (void)state;
    struct parsed p = parse(request("1.1", ""));
    assert_int_equal(p.status, 0);
    assert_int_equal(p.head.content_length, -1);
    assert_false(p.head.chunked);
    assert_false(p.head.expect_continue);
    http_fields_free(&p.fields);
}

static void a_chunked_body_is_marked_and_a_continue_is_noted(void **state) {
    (void)state;
    struct parsed p = parse(request("1.1", "Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n"));
    assert_int_equal(p.status, 0);
    assert_true(p.head.chunked);
    assert_true(p.head.expect_continue);
    assert_int_equal(p.head.content_length, -1);
    http_fields_free(&p.fields);
}

static void framing_that_could_be_read_in_two_ways_is_refused(void **state) {
    static const struct {
        const char *version, *lines;
        int status;
    } cases[] = {
        {"1.1", "Transfer-Encoding: gzip\r\n", 501},
        {"1.1", "Transfer-Encoding: gzip, chunked\r\n", 501},
        {"1.0", "Transfer-Encoding: chunked\r\n", 400},
        {"1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        {"1.1", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400},
        {"1.1", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
        {"1.1", "Content-Length: 1\r\nContent-Length: 1\r\n", 400},
        {"1.1", "Host: y\r\n", 400},
        {"1.0", "Host: y\r\n", 400},
        {"1.1", "Expect: a miracle\r\n", 417},
        {"1.0", "", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(status_of(request(cases[i].version, cases[i].lines)), cases[i].status);
    assert_int_equal(status_of(STR("GET / HTTP/1.1\r\n\r\n")), 400);
    assert_int_equal(status_of(STR("GET / HTTP/1.0\r\n\r\n")), 0);
}

static void a_host_is_a_name_or_an_address_and_perhaps_a_port(void **state) {
    static const char *good[] =
        {"a",     "a.example",  "a_b:8080", "127.0.0.1",        "127.0.0.1:65535",
         "[::1]", "[::1]:8080", "a:",       "[fe80::1%25eth0]", "xn--mller-kva.example"},
                      *bad[] = {"",         " ",
                                "a b",      "a/b",
                                "a,b:80x",  "a:b",
                                "a:123456", "a:80:80",
                                ":80",      "[::1",
                                "[]",       "::1",
                                "[::1]x",   "a@b",
                                "http://a", "a#b",
                                "a?b",      "a\tb",
                                "\"a\"",    "a\\b",
                                "<a>",      "m\xc3\xbcller.example"};
    char text[128];
    (void)state;
    for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
        const char *host = i < COUNT(good) ? good[i] : bad[i - COUNT(good)];
        for (int minor = 0; minor <= 1; minor++) {
            int n = snprintf(text, sizeof text, "GET / HTTP/1.%d\r\nHost: %s\r\n\r\n", minor, host);
            assert_int_equal(status_of((struct str){text, (size_t)n}), i < COUNT(good) ? 0 : 400);
        }
    }
}

/* The sentence is for a person: each refusal has one. */
static void a_refusal_says_why(void **state) {
    static const char *heads[] = {"",
                                  "GET / HTTP/1.1\r\n",
                                  "@ / HTTP/1.1\r\n\r\n",
                                  "GET /\r\n\r\n",
                                  "GET / HTTP/3.0\r\n\r\n",
                                  "GET x HTTP/1.1\r\n\r\n",
                                  "GET / HTTP/1.1\r\n\r\n",
                                  "GET / HTTP/1.1\r\nHost: /\r\n\r\n",
                                  "GET / HTTP/1.1\r\nA b\r\n\r\n",
                                  "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                                  "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
                                  "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                                  "GET / HTTP/1.1\r\nExpect: x\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct parsed p = parse(str_from(heads[i]));
        assert_int_not_equal(p.status, 0);
        assert_non_null(p.head.why);
        http_fields_free(&p.fields);
    }
}

static void a_trailer_is_a_field(void **state) {
    (void)state;
    assert_true(http1_is_field(STR("a: b")));
    assert_true(http1_is_field(STR("a:")));
    assert_false(http1_is_field(STR("a")));
    assert_false(http1_is_field(STR("a: b\nc: d")));
    assert_false(http1_is_field(STR("a\n: b")));
    assert_false(http1_is_field(STR(" a: b")));
    assert_false(http1_is_field(STR("a : b")));
    assert_false(http1_is_field(STR("a: b\x0b")));
}

static int status_with_name_of(size_t length) {
    char lines[512];
    memset(lines, 'n', length);
    strcpy(lines + length, ": v\r\n");
    return status_of(request("1.1", lines));
}

static int status_with_fields(size_t n) {
    char lines[8192] = "";
    for (size_t i = 1; i < n; i++) strcat(lines, "a: b\r\n"); /* beside the host */
    return status_of(request("1.1", lines));
}

static void names_and_their_number_are_limited(void **state) {
    (void)state;
    assert_int_equal(status_with_name_of(256), 0);
    assert_int_equal(status_with_name_of(257), 431);
    assert_int_equal(status_with_fields(HTTP_MAX_FIELDS), 0);
    assert_int_equal(status_with_fields(HTTP_MAX_FIELDS + 1), 431);
}

static void chunk_sizes_are_up_to_15_hexadecimal_digits(void **state) {
    static const struct {
        const char *line;
        int64_t size; /* -1: refused */
    } cases[] = {
        {"0", 0},
        {"9", 9},
        {"a", 10},
        {"f", 15},
        {"A", 10},
        {"F", 15},
        {"10", 16},
        {"fE", 254},
        {"0000010", 16},
        {"5;x=y", 5},
        {"5;", 5},
        {"", -1},
        {";x", -1},
        {"g", -1},
        {"G", -1},
        {"@", -1},
        {"`", -1},
        {"/", -1},
        {":", -1},
        {" 5", -1},
        {"5 ", -1},
        {"-5", -1},
        {"0x5", -1},
        {"5;x\n", -1},
        {"5;x\ty", 5},
        {"123456789abcdef", 0x123456789abcdef},
        {"0123456789abcdef", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t size = 77;
        assert_int_equal(http1_parse_chunk_size(str_from(cases[i].line), &size), cases[i].size >= 0);
        assert_int_equal(size, cases[i].size < 0 ? 77 : cases[i].size);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_understood),
        cmocka_unit_test(no_prefix_of_a_head_is_a_head),
        cmocka_unit_test(a_control_character_is_refused_wherever_it_stands),
        cmocka_unit_test(methods_are_known_by_their_exact_name),
        cmocka_unit_test(a_method_is_a_token),
        cmocka_unit_test(a_field_name_is_a_token_in_lower_case),
        cmocka_unit_test(a_value_holds_no_control_characters_but_tabs),
        cmocka_unit_test(a_target_is_visible_ascii),
        cmocka_unit_test(targets_are_brought_to_the_origin_form),
        cmocka_unit_test(versions_other_than_1_0_and_1_1_are_refused),
        cmocka_unit_test(a_connection_is_kept_as_its_version_and_field_say),
        cmocka_unit_test(a_content_length_is_up_to_15_digits),
        cmocka_unit_test(without_fields_of_its_own_a_request_has_no_body),
        cmocka_unit_test(a_chunked_body_is_marked_and_a_continue_is_noted),
        cmocka_unit_test(framing_that_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_host_is_a_name_or_an_address_and_perhaps_a_port),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(a_trailer_is_a_field),
        cmocka_unit_test(names_and_their_number_are_limited),
        cmocka_unit_test(chunk_sizes_are_up_to_15_hexadecimal_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
