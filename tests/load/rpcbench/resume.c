/* Live streams that are cut and come back together: each is opened for its first token, all are closed, and after a
 * pause all are opened again with their tokens. A stream is back when its heartbeat comes, behind what it missed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "rookery/v1/timeline.pb-c.h"
#include "tests/load/rpcbench/load.h"

#define TRIES 50
enum { GRPC_RESOURCE_EXHAUSTED = 8, GRPC_UNAVAILABLE = 14 };

typedef Rookery__V1__StreamHomeTimelineResponse Message;

struct wave {
    const char *address;
    size_t n, connections;
    char **bearers, **tokens;   /* of each stream */
    int64_t began_ns, *took_ns; /* the latter of those that are back */
    size_t n_back, items, resets, retries, failed;
};

struct one {
    struct wave *wave;
    struct rpc_client *client;
    size_t number;
    struct latch *latch;
};

/* Returns true when the stream is back. */
static bool note(struct wave *w, size_t number, const Message *m) {
    free(w->tokens[number]);
    w->tokens[number] = strdup(m->resume_token);
    w->items += m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_ITEM;
    w->resets += m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_RESET;
    return m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_HEARTBEAT ||
           m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_RESET;
}

static bool read_until_back(struct fiber *self, struct one *o, struct rpc_client_stream *s) {
    for (;;) {
        struct str bytes;
        bool end;
        if (rpc_client_stream_read(self, s, &bytes, &end) != 0 || end) return false;
        const Message *m = (const Message *)(const void *)pb_decode(
            &rookery__v1__stream_home_timeline_response__descriptor, bytes, fiber_arena(self), NULL);
        if (!m) return false;
        if (note(o->wave, o->number, m)) return true;
    }
}

/* Returns the call's status; 0 when the stream is back. */
static int open_once(struct fiber *self, struct one *o) {
    struct wave *w = o->wave;
    Rookery__V1__StreamHomeTimelineRequest request = ROOKERY__V1__STREAM_HOME_TIMELINE_REQUEST__INIT;
    if (w->tokens[o->number]) request.resume_token = arena_strdup(fiber_arena(self), w->tokens[o->number]);
    struct rpc_client_call call = {
        .path = "/rookery.v1.TimelineService/StreamHomeTimeline",
        .bearer = str_from(w->bearers[o->number]),
        .request = pb_encode_arena(&request.base, fiber_arena(self)),
        .grpc_status = GRPC_UNAVAILABLE,
    };
    struct rpc_client_stream *s;
    if (rpc_client_stream_open(self, o->client, &call, &s) != 0) return call.grpc_status;
    bool back = read_until_back(self, o, s);
    if (back) w->took_ns[w->n_back++] = clock_mono_ns() - w->began_ns;
    rpc_client_stream_close(s);
    return back ? 0 : call.grpc_status;
}

/* Tries again, as a client does that is told that the server is busy. */
static void stream(struct fiber *self, void *arg) {
    struct one *o = arg;
    int status = open_once(self, o);
    for (int i = 0; i < TRIES && (status == GRPC_RESOURCE_EXHAUSTED || status == GRPC_UNAVAILABLE); i++) {
        o->wave->retries++;
        fiber_sleep_ms(self, 1000 + (int64_t)(random_u64() % 2000));
        arena_reset(fiber_arena(self));
        status = open_once(self, o);
    }
    if (status != 0 && o->wave->failed++ == 0)
        fprintf(stderr, "rpcbench: a stream ended with status %d\n", status);
    latch_done(o->latch);
    free(o);
}

struct part {
    struct wave *wave;
    size_t from, to;
};

static void connection(struct fiber *self, void *arg) {
    struct part p = *(struct part *)arg;
    struct rpc_client *client;
    struct latch latch;
    free(arg);
    if (p.from == p.to) return;
    if (rpc_client_open(self, p.wave->address, &client) != 0) {
        fprintf(stderr, "rpcbench: nobody answers at %s\n", p.wave->address);
        p.wave->failed += p.to - p.from;
        return;
    }
    latch_init(&latch, p.to - p.from);
    for (size_t i = p.from; i < p.to; i++) {
        struct one *o = malloc(sizeof *o);
        if (!o) abort();
        *o = (struct one){p.wave, client, i, &latch};
        if (fiber_spawn(fiber_loop(self), NULL, stream, o, NULL) != 0) abort();
    }
    latch_wait(self, &latch);
    rpc_client_close(self, client);
}

static void run(struct wave *w) {
    struct loop *l = loop_new(NULL);
    if (!l) abort();
    w->n_back = w->items = w->resets = w->retries = 0;
    w->began_ns = clock_mono_ns();
    for (size_t i = 0; i < w->connections; i++) {
        struct part *p = malloc(sizeof *p);
        if (!p) abort();
        *p = (struct part){w, i * w->n / w->connections, (i + 1) * w->n / w->connections};
        if (fiber_spawn(l, NULL, connection, p, NULL) != 0) abort();
    }
    loop_run(l);
    loop_free(l);
}

/* Streams beyond the number of tokens are further ones of the first accounts. */
static bool read_bearers(const char *path, struct wave *w) {
    FILE *f = fopen(path, "r");
    char line[256];
    size_t n = 0;
    while (f && n < w->n && fgets(line, sizeof line, f)) w->bearers[n++] = strndup(line, strcspn(line, "\n"));
    if (f) fclose(f);
    for (size_t i = n; n > 0 && i < w->n; i++) w->bearers[i] = strdup(w->bearers[i % n]);
    return n > 0;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print(struct wave *w) {
    qsort(w->took_ns, w->n_back, sizeof *w->took_ns, by_value);
    double median = w->n_back > 0 ? (double)w->took_ns[w->n_back / 2] / 1e9 : 0;
    double last = w->n_back > 0 ? (double)w->took_ns[w->n_back - 1] / 1e9 : 0;
    printf(
        "%.2f s until %zu streams were back, half of them after %.2f s; %zu items, %zu resets, %zu retries, "
        "%zu failed\n",
        last, w->n_back, median, w->items, w->resets, w->retries, w->failed);
}

int api_resume(const char *address, const char *tokens, size_t streams, size_t connections,
               const char *between) {
    struct wave w = {.address = address, .n = streams, .connections = connections};
    w.bearers = calloc(streams, sizeof *w.bearers);
    w.tokens = calloc(streams, sizeof *w.tokens);
    w.took_ns = calloc(streams, sizeof *w.took_ns);
    if (!w.bearers || !w.tokens || !w.took_ns) abort();
    bool ok = read_bearers(tokens, &w);
    if (ok) run(&w);
    ok = ok && w.failed == 0 && system(between) == 0;
    if (ok) {
        run(&w);
        print(&w);
    }
    for (size_t i = 0; i < streams; i++) {
        free(w.bearers[i]);
        free(w.tokens[i]);
    }
    free(w.bearers);
    free(w.tokens);
    free(w.took_ns);
    return ok && w.failed == 0 ? 0 : 1;
}
