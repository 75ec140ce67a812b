/* Budgets of an HTTP/2 connection, for what nghttp2 lets a peer do without limit.
 *
 * Each is a token bucket: a burst, refilled with time (and, for frames, with useful work). An empty bucket
 * ends the connection with GOAWAY(ENHANCE_YOUR_CALM). What nghttp2 1.52 bounds by itself (rapid resets,
 * CONTINUATION floods, settings entries, unread acknowledgements) is set in http2.c's option block.
 */
#ifndef ROOKERY_CORE_HTTP_HTTP2_GUARD_H
#define ROOKERY_CORE_HTTP_HTTP2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    int64_t tokens, burst; /* thousandths */
    int64_t per_s;         /* thousandths refilled a second */
    int64_t refilled_ns;
};

struct http2_guard {
    struct budget resets; /* streams we had to reset because of the peer's errors ("made you reset") */
    struct budget pings; /* PINGs of the peer, which we answer; refilled whenever we send data (BDP probes) */
    struct budget settings; /* SETTINGS after the first */
    struct budget frames;   /* PRIORITY, WINDOW_UPDATE and unknown frames, beside useful ones */
};

/* Empty DATA frames of one stream that do not end it (a request body has no use for them). */
#define HTTP2_MAX_EMPTY_FRAMES 32u

void http2_guard_init(struct http2_guard *g, int64_t now_ns);
/* Each returns false when its budget is used up. */
bool http2_guard_reset(struct http2_guard *g, int64_t now_ns);
bool http2_guard_ping(struct http2_guard *g, int64_t now_ns);
bool http2_guard_settings(struct http2_guard *g, int64_t now_ns);
bool http2_guard_frame(struct http2_guard *g, int64_t now_ns);
/* A HEADERS or DATA frame was received or sent. */
void http2_guard_useful(struct http2_guard *g);
void http2_guard_sent_data(struct http2_guard *g);

#endif
