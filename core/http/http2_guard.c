/* Token buckets against HTTP/2 floods: see http2_guard.h. Pure; time is a parameter. */
#include "core/http/http2_guard.h"

#include "core/base/clock.h"

enum { ONE = 1000 };

static struct budget budget_new(int64_t burst, int64_t per_minute, int64_t now_ns) {
    return (struct budget){
        .tokens = burst * ONE, .burst = burst * ONE, .per_s = per_minute * ONE / 60, .refilled_ns = now_ns};
}

static bool budget_take(struct budget *b, int64_t now_ns) {
    int64_t elapsed_ms = (now_ns - b->refilled_ns) / NS_PER_MS;
    if (elapsed_ms > 0) {
        if (elapsed_ms > 3600 * 1000) elapsed_ms = 3600 * 1000;
        b->tokens += elapsed_ms * b->per_s / 1000;
        if (b->tokens > b->burst) b->tokens = b->burst;
        b->refilled_ns = now_ns;
    }
    if (b->tokens < ONE) return false;
    b->tokens -= ONE;
    return true;
}

static void budget_give(struct budget *b, int64_t tokens) {
    b->tokens += tokens * ONE;
    if (b->tokens > b->burst) b->tokens = b->burst;
}

void http2_guard_init(struct http2_guard *g, int64_t now_ns) {
    g->resets = budget_new(200, 20 * 60, now_ns);
    g->pings = budget_new(60, 2 * 60, now_ns);
    g->settings = budget_new(10, 10, now_ns);
    g->frames = budget_new(10000, 1000 * 60, now_ns);
    g->late_bytes = g->late_blocks = 0;
}

bool http2_guard_reset(struct http2_guard *g, int64_t now_ns) {
    return budget_take(&g->resets, now_ns);
}

bool http2_guard_ping(struct http2_guard *g, int64_t now_ns) {
    return budget_take(&g->pings, now_ns);
}

bool http2_guard_settings(struct http2_guard *g, int64_t now_ns) {
    return budget_take(&g->settings, now_ns);
}

bool http2_guard_frame(struct http2_guard *g, int64_t now_ns) {
    return budget_take(&g->frames, now_ns);
}

void http2_guard_useful(struct http2_guard *g) {
    budget_give(&g->frames, 4); /* an honest client answers a DATA frame with at most two WINDOW_UPDATEs */
}

void http2_guard_sent_data(struct http2_guard *g) {
    budget_give(&g->frames, 4);
    budget_give(&g->pings, 1);
}

void http2_guard_allow_late(struct http2_guard *g, int64_t window) {
    g->late_bytes -= window;
    g->late_blocks -= 2; /* fields and trailers */
}

bool http2_guard_late(const struct http2_guard *g) {
    return g->late_bytes <= 0 && g->late_blocks <= 0;
}
