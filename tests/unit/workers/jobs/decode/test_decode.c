/* What files are packed and encoded in: gzip and UTF-16, cut at every byte, damaged at every byte, and endless. */
#include <errno.h>
#include <zlib.h>

#include "core/base/str.h"
#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/jobs_table.h"
#include "workers/jobs/decode/decode.h"

static const char table[] = "name,x\n\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xA6\",1.5\nb,2\n";

/* Appends text as a member of gzip data. */
static void pack(struct buf *out, const char *text, size_t length) {
    unsigned char room[4096];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)text,
                  .avail_in = (uInt)length,
                  .next_out = room,
                  .avail_out = sizeof room};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_append(out, (const char *)room, sizeof room - z.avail_out);
    deflateEnd(&z);
}

/* Decodes bytes that come in pieces of step, into room for `room` bytes at a time. Returns 0, or the errno of the
 * failure; out has what came before. */
static int decode(const struct buf *bytes, size_t step, size_t room, struct buf *out) {
    struct text_source source = {.step = step};
    struct csv_source from = text_source(&source, "");
    struct decoder *d = decoder_new(from);
    char at[512];
    ssize_t got;
    assert_non_null(d);
    assert_true(room <= sizeof at);
    if (bytes->len > 0) source.text = bytes->ptr;
    source.length = bytes->len;
    buf_clear(out);
    while ((got = decoder_read(d, at, room)) > 0) {
        assert_true((size_t)got <= room);
        buf_append(out, at, (size_t)got);
    }
    int why = got < 0 ? errno : 0;
    if (got == 0) assert_int_equal(decoder_read(d, at, room), 0);
    decoder_free(d);
    return why;
}

/* However the bytes come and go, the text is that, and then it ends or fails so. */
static void assert_decodes(const struct buf *bytes, struct str text, int failure) {
    struct buf out;
    buf_init(&out);
    for (size_t step = 0; step <= bytes->len; step++) {
        for (size_t room = 1; room <= 512; room += room < 8 ? 1 : 101) {
            assert_int_equal(decode(bytes, step, room, &out), failure);
            if (!str_eq(buf_str(&out), text)) print_error("pieces of %zu, room for %zu\n", step, room);
            assert_true(str_eq(buf_str(&out), text));
        }
    }
    buf_free(&out);
}

static struct str whole(void) {
    return (struct str){table, sizeof table - 1};
}

static void plain_text_passes(void **state) {
    (void)state;
    struct buf bytes;
    buf_init(&bytes);
    assert_decodes(&bytes, (struct str){"", 0}, 0);
    buf_append_char(&bytes, 'a');
    assert_decodes(&bytes, (struct str){"a", 1}, 0);
    buf_clear(&bytes);
    buf_append(&bytes, table, sizeof table - 1);
    assert_decodes(&bytes, whole(), 0);
    buf_clear(&bytes);
    buf_append_cstr(&bytes, "\x1F"
                            "a"); /* half of what gzip data begin with */
    assert_decodes(&bytes, buf_str(&bytes), 0);
    buf_free(&bytes);
}

static void gzip_is_unpacked(void **state) {
    (void)state;
    struct buf bytes;
    buf_init(&bytes);
    pack(&bytes, table, sizeof table - 1);
    assert_decodes(&bytes, whole(), 0);
    buf_append(&bytes, "\0\0\0", 3); /* padding */
    assert_decodes(&bytes, whole(), 0);
    buf_clear(&bytes); /* members, one of them empty */
    pack(&bytes, table, 10);
    pack(&bytes, "", 0);
    pack(&bytes, table + 10, sizeof table - 11);
    assert_decodes(&bytes, whole(), 0);
    buf_free(&bytes);
}

static void gzip_that_is_cut_short_is_an_error(void **state) {
    (void)state;
    struct buf all, cut, out;
    buf_init(&all);
    buf_init(&cut);
    buf_init(&out);
    pack(&all, table, 10);
    size_t first = all.len;
    pack(&all, table + 10, sizeof table - 11);
    for (size_t n = 3; n < all.len; n++) {
        buf_clear(&cut);
        buf_append(&cut, all.ptr, n);
        assert_int_equal(decode(&cut, 0, 512, &out), n == first ? 0 : ENODATA);
    }
    buf_free(&all);
    buf_free(&cut);
    buf_free(&out);
}

static void gzip_that_is_damaged_is_an_error(void **state) {
    (void)state;
    struct buf bytes, out;
    buf_init(&bytes);
    buf_init(&out);
    pack(&bytes, table, sizeof table - 1);
    /* The ten bytes of the header are not checked: time, system and so on. */
    for (size_t at = 10; at < bytes.len; at++) {
        bytes.ptr[at] ^= 0x55;
        int why = decode(&bytes, 0, 512, &out);
        assert_true(why == EBADMSG || why == ENODATA);
        bytes.ptr[at] ^= 0x55;
    }
    size_t length = bytes.len;
    buf_append_cstr(&bytes, "behind");
    assert_decodes(&bytes, whole(), EBADMSG);
    bytes.len = length;
    buf_append_char(&bytes, '\0');
    pack(&bytes, "a", 1); /* behind padding there is nothing */
    assert_decodes(&bytes, whole(), EBADMSG);
    buf_free(&bytes);
    buf_free(&out);
}

/* The bytes of UTF-16 for units. */
static void encode(struct buf *out, const unsigned *units, size_t n, bool big) {
    for (size_t i = 0; i < n; i++) {
        char low = (char)(units[i] & 0xFF), high = (char)(units[i] >> 8);
        buf_append_char(out, big ? high : low);
        buf_append_char(out, big ? low : high);
    }
}

static void utf16_with_its_mark_becomes_utf8(void **state) {
    (void)state;
    static const unsigned units[] = {0xFEFF, 'a',    0x7F,   0x80,   0x7FF,  0x800, 0xFEFF,
                                     0xFFFF, 0xD800, 0xDC00, 0xDBFF, 0xDFFF, '\n'};
    static const char text[] =
        "a\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBB\xBF\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\n";
    for (int big = 0; big < 2; big++) {
        struct buf bytes, packed;
        buf_init(&bytes);
        buf_init(&packed);
        encode(&bytes, units, sizeof units / sizeof *units, big);
        assert_decodes(&bytes, (struct str){text, sizeof text - 1}, 0);
        pack(&packed, bytes.ptr, bytes.len);
        assert_decodes(&packed, (struct str){text, sizeof text - 1}, 0);
        bytes.len--; /* half a unit */
        assert_decodes(&bytes, (struct str){text, sizeof text - 2}, EILSEQ);
        buf_free(&bytes);
        buf_free(&packed);
    }
}

static void half_a_pair_is_an_error(void **state) {
    (void)state;
    static const unsigned cases[][4] = {
        {0xFEFF, 'a', 0xD800, 'b'}, {0xFEFF, 'a', 0xDC00, 0xD800}, {0xFEFF, 'a', 0xD800, 0xD800}};
    for (size_t i = 0; i < 3; i++) {
        struct buf bytes;
        buf_init(&bytes);
        encode(&bytes, cases[i], 4, false);
        assert_decodes(&bytes, (struct str){"a", 1}, EILSEQ);
        bytes.len -= 2;
        assert_decodes(&bytes, (struct str){"a", 1}, EILSEQ);
        buf_free(&bytes);
    }
}

/* A stream that unpacks to a thousand times its size: what is decoded at a time is what there is room for. */
static void a_bomb_is_read_a_piece_at_a_time(void **state) {
    (void)state;
    enum { SIZE = 8 << 20 };
    struct buf packed;
    char *text = calloc(1, SIZE), at[512];
    uLong bound = compressBound(SIZE) + 64;
    unsigned char *room = malloc(bound);
    z_stream z = {
        .next_in = (unsigned char *)text, .avail_in = SIZE, .next_out = room, .avail_out = (uInt)bound};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_init(&packed);
    buf_append(&packed, (const char *)room, bound - z.avail_out);
    deflateEnd(&z);
    struct text_source source = {0};
    struct csv_source from = text_source(&source, "");
    source.text = packed.ptr;
    source.length = packed.len;
    struct decoder *d = decoder_new(from);
    size_t all = 0;
    for (ssize_t got; (got = decoder_read(d, at, sizeof at)) > 0; all += (size_t)got) assert_true(got <= 512);
    assert_int_equal(all, SIZE);
    decoder_free(d);
    buf_free(&packed);
    free(room);
    free(text);
}

static bool decode_both(void *context) {
    struct buf *bytes = context;
    struct text_source source = {0};
    struct csv_source from = text_source(&source, "");
    char at[512];
    ssize_t got = -1;
    source.text = bytes->ptr;
    source.length = bytes->len;
    struct decoder *d = decoder_new(from);
    if (!d) return false;
    do got = decoder_read(d, at, sizeof at);
    while (got > 0);
    if (got < 0) assert_int_equal(errno, ENOMEM);
    decoder_free(d);
    return got == 0;
}

static void a_lack_of_memory_is_an_error(void **state) {
    (void)state;
    static const unsigned units[] = {0xFEFF, 'a', '\n'};
    struct buf bytes, packed;
    if (!failing_malloc_works()) skip();
    buf_init(&bytes);
    buf_init(&packed);
    encode(&bytes, units, 3, false);
    pack(&packed, bytes.ptr, bytes.len);
    assert_true(failing_malloc_each(decode_both, &packed) >= 4);
    buf_free(&bytes);
    buf_free(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_passes),
        cmocka_unit_test(gzip_is_unpacked),
        cmocka_unit_test(gzip_that_is_cut_short_is_an_error),
        cmocka_unit_test(gzip_that_is_damaged_is_an_error),
        cmocka_unit_test(utf16_with_its_mark_becomes_utf8),
        cmocka_unit_test(half_a_pair_is_an_error),
        cmocka_unit_test(a_bomb_is_read_a_piece_at_a_time),
        cmocka_unit_test(a_lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("unit/jobs_decode", tests, NULL, NULL);
}
