/* The heads of the frames that an HTTP/2 peer sends, read beside nghttp2, which does not report all of them: it skips
 * frames of unknown types, and frames of streams that have ended. Pure: bytes in, events out. */
#ifndef ROOKERY_CORE_HTTP_HTTP2_FRAMES_H
#define ROOKERY_CORE_HTTP_HTTP2_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/str.h"

#define HTTP2_FRAME_HEAD_BYTES 9

enum http2_event {
    HTTP2_NOTHING,      /* the bytes are used up */
    HTTP2_FRAME_BEGINS, /* its head is complete */
    HTTP2_FRAME_ENDS    /* and so is its payload */
};

struct http2_frames {
    size_t length; /* of the frame's payload */
    uint8_t type, flags;
    uint32_t stream;
    bool in_frame;
    size_t left; /* of the payload */
    size_t n_head;
    unsigned char head[HTTP2_FRAME_HEAD_BYTES];
};

/* The client's preface is passed over first. */
void http2_frames_init(struct http2_frames *f);
/* Cuts off *bytes what belongs to the next event; the frame that it is about is in *f until the next call. */
enum http2_event http2_frames_next(struct http2_frames *f, struct str *bytes);

#endif
