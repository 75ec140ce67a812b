/* An HTTP/2 client of bare frames: see h2_peer.h. */
#include "tests/unit/support/h2_peer.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/fibers.h"

static void put_u32(unsigned char *p, uint32_t v) {
    p[0] = (unsigned char)(v >> 24);
    p[1] = (unsigned char)(v >> 16);
    p[2] = (unsigned char)(v >> 8);
    p[3] = (unsigned char)v;
}

static uint32_t get_u32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- sending ------------------------------------------------------------------------------------------- */

void h2_send_frame(struct h2_peer *p, uint8_t type, uint8_t flags, int32_t stream, const void *payload,
                   size_t n) {
    unsigned char head[9];
    struct buf b;
    put_u32(head, (uint32_t)n << 8);
    head[3] = type;
    head[4] = flags;
    put_u32(head + 5, (uint32_t)stream);
    buf_init(&b);
    buf_append(&b, head, sizeof head);
    buf_append(&b, payload, n);
    raw_send(&p->raw, b.ptr, b.len);
    buf_free(&b);
}

static void put_literal(struct buf *b, const char *s) {
    size_t n = strlen(s);
    if (n < 127) {
        buf_append_char(b, (char)n);
    } else { /* HPACK's integers: seven bits, then the rest seven at a time */
        buf_append_char(b, 127);
        for (n -= 127; n >= 128; n >>= 7) buf_append_char(b, (char)(n | 128));
        buf_append_char(b, (char)n);
    }
    buf_append_cstr(b, s);
}

void h2_send_fields(struct h2_peer *p, int32_t stream, uint8_t flags, const char *const *fields) {
    struct buf b;
    buf_init(&b);
    for (; *fields; fields += 2) {
        buf_append_char(&b, 0);
        put_literal(&b, fields[0]);
        put_literal(&b, fields[1]);
    }
    h2_send_frame(p, NGHTTP2_HEADERS, flags, stream, b.ptr, b.len);
    buf_free(&b);
}

void h2_send_call(struct h2_peer *p, int32_t stream, const char *path, const char *name, const char *value) {
    const char *fields[] = {":method",    "POST", ":scheme", "http",     ":path",        path,
                            ":authority", "x",    "te",      "trailers", "content-type", "application/grpc",
                            name,         value,  NULL};
    h2_send_fields(p, stream, NGHTTP2_FLAG_END_HEADERS, fields);
}

void h2_send_message(struct h2_peer *p, int32_t stream, struct str message, uint8_t flags) {
    struct buf b;
    unsigned char prefix[5] = {0};
    put_u32(prefix + 1, (uint32_t)message.len);
    buf_init(&b);
    buf_append(&b, prefix, sizeof prefix);
    buf_append_str(&b, message);
    h2_send_frame(p, NGHTTP2_DATA, flags, stream, b.ptr, b.len);
    buf_free(&b);
}

void h2_send_window(struct h2_peer *p, int32_t stream, uint32_t n) {
    unsigned char b[4];
    put_u32(b, n);
    h2_send_frame(p, NGHTTP2_WINDOW_UPDATE, 0, stream, b, sizeof b);
}

void h2_send_reset(struct h2_peer *p, int32_t stream, uint32_t code) {
    unsigned char b[4];
    put_u32(b, code);
    h2_send_frame(p, NGHTTP2_RST_STREAM, 0, stream, b, sizeof b);
}

void h2_open(struct fiber *self, struct h2_peer *p, const char *address, int64_t window) {
    unsigned char setting[6] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE};
    *p = (struct h2_peer){.goaway = -1};
    raw_open(self, &p->raw, address);
    p->streams = calloc(H2_PEER_STREAMS, sizeof *p->streams);
    if (!p->streams || nghttp2_hd_inflate_new(&p->inflater) != 0) abort();
    for (int i = 0; i < H2_PEER_STREAMS; i++)
        p->streams[i].http_status = p->streams[i].grpc_status = -1, p->streams[i].reset = -1;
    raw_send_text(&p->raw, NGHTTP2_CLIENT_MAGIC);
    if (window >= 0) put_u32(setting + 2, (uint32_t)window);
    h2_send_frame(p, NGHTTP2_SETTINGS, 0, 0, setting, window >= 0 ? 6 : 0);
}

void h2_close(struct fiber *self, struct h2_peer *p) {
    raw_close(self, &p->raw);
    for (int i = 0; i < H2_PEER_STREAMS; i++) {
        buf_free(&p->streams[i].body);
        buf_free(&p->streams[i].fields);
    }
    free(p->streams);
    nghttp2_hd_inflate_del(p->inflater);
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

static void note_field(struct h2_response *r, struct str name, struct str value) {
    int64_t n = -1;
    str_to_i64(value, &n);
    if (str_eq(name, STR(":status"))) r->http_status = (int)n;
    if (str_eq(name, STR("grpc-status"))) r->grpc_status = (int)n;
    buf_append_str(&r->fields, name);
    buf_append_cstr(&r->fields, ": ");
    buf_append_str(&r->fields, value);
    buf_append_char(&r->fields, '\n');
}

static void on_headers(struct h2_peer *p, struct h2_response *r, const unsigned char *b, size_t n) {
    r->header_blocks++;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = (ssize_t)nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, b, n, 1);
        if (!CHECK(used >= 0)) return;
        b += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            note_field(r, (struct str){(char *)nv.name, nv.namelen},
                       (struct str){(char *)nv.value, nv.valuelen});
        if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    }
    nghttp2_hd_inflate_end_headers(p->inflater);
}

static void on_frame(struct h2_peer *p, uint8_t type, uint8_t flags, uint32_t id, const unsigned char *b,
                     size_t n) {
    struct h2_response *r = &p->streams[id < H2_PEER_STREAMS ? id : 0];
    bool ack = flags & NGHTTP2_FLAG_ACK;
    if (type == NGHTTP2_HEADERS) on_headers(p, r, b, n);
    if (type == NGHTTP2_DATA) {
        buf_append(&r->body, b, n);
        if (p->auto_window && n) {
            h2_send_window(p, 0, (uint32_t)n);
            if (!(flags & NGHTTP2_FLAG_END_STREAM)) h2_send_window(p, (int32_t)id, (uint32_t)n);
        }
    }
    if ((type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) && (flags & NGHTTP2_FLAG_END_STREAM))
        r->ended = true;
    if (type == NGHTTP2_RST_STREAM) r->reset = get_u32(b);
    if (type == NGHTTP2_GOAWAY) p->goaway = get_u32(b + 4);
    if (type == NGHTTP2_PING && ack) p->pings_answered++;
    if (type == NGHTTP2_SETTINGS && ack) p->settings_acked++;
    if (type == NGHTTP2_SETTINGS && !ack) h2_send_frame(p, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
}

static bool take_apart(struct h2_peer *p) {
    bool any = false;
    for (;;) {
        size_t have = p->raw.in.len - p->parsed;
        if (have < 9) break;
        const unsigned char *b = (const unsigned char *)p->raw.in.ptr + p->parsed;
        size_t n = get_u32(b) >> 8;
        if (have < 9 + n) break;
        on_frame(p, b[3], b[4], get_u32(b + 5) & 0x7fffffff, b + 9, n);
        p->parsed += 9 + n;
        any = true;
    }
    if (p->parsed > 65536) {
        buf_consume(&p->raw.in, p->parsed);
        p->parsed = 0;
    }
    return any;
}

bool h2_pump(struct fiber *self, struct h2_peer *p) {
    return take_apart(p) || (raw_wait_more(self, &p->raw) && (take_apart(p), true));
}

const struct h2_response *h2_wait(struct fiber *self, struct h2_peer *p, int32_t stream) {
    const struct h2_response *r = &p->streams[stream];
    while (!r->ended && r->reset < 0)
        if (!h2_pump(self, p)) return NULL;
    return r;
}
