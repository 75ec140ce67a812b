/* Budgets of an HTTP/2 connection, for what nghttp2 lets a peer do without limit.
 *
 * Each but the last is a token bucket: a burst, refilled with time (and, for frames, with useful work). An empty
 * bucket ends the connection with GOAWAY(ENHANCE_YOUR_CALM). What nghttp2 1.52 bounds by itself (rapid resets,
 * CONTINUATION floods, settings entries, unread acknowledgements) is set in http2.c's option block.
 *
 * Late frames are those for streams that have ended. When one is reset before its request has come, what is on its
 * way cannot be called back: at most a window of DATA and two blocks of fields, which are dropped. What comes beyond
 * that was sent for a stream that the peer knew to be closed: GOAWAY(STREAM_CLOSED).
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
    struct budget frames;   /* PRIORITY, WINDOW_UPDATE, unknown and empty late frames, beside useful ones */
    int64_t late_bytes, late_blocks; /* that came for ended streams, less what was allowed */
};

/* DATA frames of one stream without data that do not end it (a request body has no use for them). */
#define HTTP2_MAX_EMPTY_FRAMES 32u

void http2_guard_init(struct http2_guard *g, int64_t now_ns);
/* Each returns false when its budget is used up. */
bool http2_guard_reset(struct http2_guard *g, int64_t now_ns);
bool http2_guard_ping(struct http2_guard *g, int64_t now_ns);
bool http2_guard_settings(struct http2_guard *g, int64_t now_ns);
bool http2_guard_frame(struct http2_guard *g, int64_t now_ns);
/* A HEADERS frame, or a DATA frame with data, was received. */
void http2_guard_useful(struct http2_guard *g);
void http2_guard_sent_data(struct http2_guard *g);
/* A stream whose window is so large ended before its request. */
void http2_guard_allow_late(struct http2_guard *g, int64_t window);
/* Whether no more came for ended streams than what was on its way. */
bool http2_guard_late(const struct http2_guard *g);

#endif
