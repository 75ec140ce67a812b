/* The heads of HTTP/2 frames: the same events however the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/http/http2_frames.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* SETTINGS; HEADERS of stream 0x01020304 with 3 bytes; DATA with 300; an empty DATA; an unknown type. */
static struct str stream_of_frames(struct buf *b) {
    static const char zeros[300];
    buf_init(b);
    buf_append_cstr(b, PREFACE);
    buf_append(b, "\0\0\0\4\0\0\0\0\0", 9);
    buf_append(b, "\0\0\3\1\5\x81\2\3\4abc", 12);
    buf_append(b, "\0\1\x2c\0\1\0\0\0\1", 9);
    buf_append(b, zeros, sizeof zeros);
    buf_append(b, "\0\0\0\0\1\0\0\0\3", 9);
    buf_append(b, "\1\0\0\xbb\x77\0\0\0\0", 9);
    return buf_str(b);
}

static const char expected[] = "e" /* of the preface */
                               "[4 0 0 0]e"
                               "[1 5 3 16909060]e"
                               "[0 1 300 1]e"
                               "[0 1 0 3]e"
                               "[187 119 65536 0]";

static void note_events(struct http2_frames *f, struct str bytes, struct buf *said) {
    enum http2_event event;
    while ((event = http2_frames_next(f, &bytes)) != HTTP2_NOTHING) {
        if (event == HTTP2_FRAME_ENDS) {
            buf_append_char(said, 'e');
        } else {
            buf_printf(said, "[%d %d %zu %u]", f->type, f->flags, f->length, f->stream);
        }
    }
    assert_int_equal(bytes.len, 0);
}

static void frames_begin_and_end_wherever_the_bytes_are_cut(void **state) {
    struct buf all;
    struct str bytes = stream_of_frames(&all);
    (void)state;
    for (size_t piece = 1; piece <= bytes.len; piece++) {
        struct http2_frames f;
        struct buf said;
        buf_init(&said);
        http2_frames_init(&f);
        for (size_t at = 0; at < bytes.len; at += piece) {
            size_t n = bytes.len - at < piece ? bytes.len - at : piece;
            note_events(&f, (struct str){bytes.ptr + at, n}, &said);
        }
        assert_true(str_eq(buf_str(&said), str_from(expected)));
        buf_free(&said);
    }
    buf_free(&all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_begin_and_end_wherever_the_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
