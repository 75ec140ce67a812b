/* Heads of frames: see http2_frames.h. A reader is in a frame or in a head, and counts down what is left of it; a head
 * may come in pieces. */
#include "core/http/http2_frames.h"

#include <string.h>

enum { PREFACE_BYTES = 24, NO_TYPE = 0xff };

void http2_frames_init(struct http2_frames *f) {
    *f = (struct http2_frames){.type = NO_TYPE, .in_frame = true, .left = PREFACE_BYTES};
}

static size_t cut(struct str *bytes, size_t max) {
    size_t n = bytes->len < max ? bytes->len : max;
    bytes->ptr += n;
    bytes->len -= n;
    return n;
}

static enum http2_event read_payload(struct http2_frames *f, struct str *bytes) {
    f->left -= cut(bytes, f->left);
    if (f->left) return HTTP2_NOTHING;
    f->in_frame = false;
    return HTTP2_FRAME_ENDS;
}

static enum http2_event read_head(struct http2_frames *f, struct str *bytes) {
    const char *from = bytes->ptr;
    size_t n = cut(bytes, HTTP2_FRAME_HEAD_BYTES - f->n_head);
    if (n) memcpy(f->head + f->n_head, from, n);
    f->n_head += n;
    if (f->n_head < HTTP2_FRAME_HEAD_BYTES) return HTTP2_NOTHING;
    const unsigned char *h = f->head;
    f->n_head = 0;
    f->length = f->left = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    f->type = h[3];
    f->flags = h[4];
    f->stream = (uint32_t)(h[5] & 0x7f) << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
    f->in_frame = true;
    return HTTP2_FRAME_BEGINS;
}

enum http2_event http2_frames_next(struct http2_frames *f, struct str *bytes) {
    return f->in_frame ? read_payload(f, bytes) : read_head(f, bytes);
}
