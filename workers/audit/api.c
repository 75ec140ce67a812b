/* Home timelines and live streams as one gateway serves them.
 *
 * One timeline:
 *   1. GetHomeTimeline with the account's token, from the newest entry on.
 *   2. Its items are noted; that is a first page. For a whole timeline, the next page is requested with the token of
 *      the last one, until there is no token.
 * One stream: StreamHomeTimeline without a resume token. Its first message says that it is live; every message is
 * noted.
 * Failures: when the gateway refuses for a while (UNAVAILABLE, too many calls) or its connection is lost, the same
 * page is requested again, on a new connection if necessary, for PATIENCE_MS at most (FIRST_PATIENCE_MS for a gateway
 * that has never answered: its address may be wrong). The same goes for a stream that was not live yet; one that was
 * live is not begun again. Any other status ends the audit with the gateway's own words. A timeline that does not end
 * after twice its length is cut; the excess is reported as leaked, or as shown again.
 *
 * There are a few connections, because gateways on several processes may share a port; each carries many calls.
 */
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/domain/timeline/home.h"
#include "core/rpc/client.h"
#include "rookery/v1/timeline.pb-c.h"
#include "workers/audit/audit_internal.h"

#define CONNECTIONS 4
#define CALL_TIMEOUT_MS 10000
#define PATIENCE_MS 30000
#define FIRST_PATIENCE_MS 3000
/* Reading continues beyond the promised length, to find entries that should not be there. */
#define READ_AT_MOST (2 * HOME_LENGTH)

struct door {
    struct rpc_client *client;
    struct semaphore opening; /* one fiber at a time opens the connection */
};

struct audit_api {
    const char *address;
    int page_size;
    bool answered; /* ever */
    struct door doors[CONNECTIONS];
};

struct audit_api *audit_api_new(const char *address, int page_size) {
    struct audit_api *api = calloc(1, sizeof *api);
    if (!api) return NULL;
    api->address = address;
    api->page_size = page_size;
    for (size_t i = 0; i < CONNECTIONS; i++) semaphore_init(&api->doors[i].opening, 1, 4096);
    return api;
}

void audit_api_free(struct fiber *self, struct audit_api *api) {
    if (!api) return;
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (api->doors[i].client) rpc_client_close(self, api->doors[i].client);
    free(api);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

/* Returns an open connection; calls in flight on a lost one have failed already. */
static int connection(struct fiber *self, struct audit_api *api, struct door *door, struct rpc_client **out) {
    int e = semaphore_acquire(self, &door->opening);
    if (e != 0) return e;
    if (door->client && !rpc_client_alive(door->client)) {
        rpc_client_close(self, door->client);
        door->client = NULL;
    }
    if (!door->client) e = rpc_client_open(self, api->address, &door->client);
    semaphore_release(&door->opening);
    *out = door->client;
    return e;
}

static bool worth_retrying(int grpc_status) {
    return grpc_status == error_grpc_status(ERR_UNAVAILABLE) ||
           grpc_status == error_grpc_status(ERR_RESOURCE_EXHAUSTED) ||
           grpc_status == error_grpc_status(ERR_DEADLINE_EXCEEDED) ||
           grpc_status == error_grpc_status(ERR_ABORTED);
}

static int no_answer(const struct audit_api *api, int e, struct fault *fault) {
    return fault_set(fault, e, "no gateway answers at %s: %s; --gateway ADDR:PORT says where one is",
                     api->address, error_text(e));
}

static int bad_answer(const struct audit_api *api, const struct rpc_client_call *call, struct fault *fault) {
    return fault_set(fault, ERR_FAILED_PRECONDITION, "the gateway at %s answers: " STR_FMT, api->address,
                     STR_ARG(call->grpc_message));
}

/* Once. *again: a later try may do better. */
static int call_once(struct fiber *self, struct audit_api *api, struct door *door,
                     struct rpc_client_call *call, bool *again, struct fault *fault) {
    struct rpc_client *client;
    int e = connection(self, api, door, &client);
    if (e == 0) e = rpc_client_unary(self, client, call);
    *again = e != 0 && error_retryable(e);
    api->answered |= e == 0;
    if (e != 0) return no_answer(api, e, fault);
    if (call->grpc_status == 0) return 0;
    *again = worth_retrying(call->grpc_status);
    return bad_answer(api, call, fault);
}

/* Sleeps before another attempt. Returns false when the time for attempts is over, or the fiber is cancelled. */
static bool may_retry(struct fiber *self, const struct audit_api *api, int64_t began_ns, unsigned attempt) {
    int64_t patience_ms = api->answered ? PATIENCE_MS : FIRST_PATIENCE_MS;
    if (clock_mono_ns() - began_ns > patience_ms * NS_PER_MS) return false;
    return fiber_sleep_ms(self, backoff_ms(attempt, 20, 1000)) == 0;
}

static int call_patiently(struct fiber *self, struct audit_api *api, struct door *door,
                          struct rpc_client_call *call, struct fault *fault) {
    int64_t began_ns = clock_mono_ns();
    for (unsigned attempt = 0;; attempt++) {
        bool again;
        int e = call_once(self, api, door, call, &again, fault);
        if (e == 0 || !again || !may_retry(self, api, began_ns, attempt)) return e;
    }
}

/* ---- pages --------------------------------------------------------------------------------------------- */

static struct audit_entry entry_of(const Rookery__V1__TimelineItem *item) {
    struct audit_entry e = {.id = item->id, .author_id = item->reposted_by_id};
    if (item->post) {
        e.edit_count = item->post->edit_count;
        e.post_id = item->post->id;
        if (e.author_id == 0) e.author_id = item->post->author_id;
    }
    return e;
}

/* Reads the page at the position and moves the position to the next one; an empty token stands for the beginning and
 * the end. */
static int read_page(struct fiber *self, struct audit_api *api, struct door *door, struct str token, int size,
                     struct buf *position, struct audit_view *out, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__GetHomeTimelineRequest request = ROOKERY__V1__GET_HOME_TIMELINE_REQUEST__INIT;
    request.page_size = size;
    request.page_token = str_to_cstr(a, buf_str(position));
    struct rpc_client_call call = {
        .path = "/rookery.v1.TimelineService/GetHomeTimeline",
        .bearer = token,
        .request = pb_encode_arena(&request.base, a),
        .timeout_ms = CALL_TIMEOUT_MS,
    };
    int e = call_patiently(self, api, door, &call, fault);
    if (e != 0) return e;
    const ProtobufCMessage *decoded =
        pb_decode(&rookery__v1__get_home_timeline_response__descriptor, call.reply, a, fault);
    if (!decoded) return fault->error;
    const Rookery__V1__GetHomeTimelineResponse *page = (const void *)decoded;
    for (size_t i = 0; i < page->n_items; i++) {
        struct audit_entry entry = entry_of(page->items[i]);
        audit_view_add(out, &entry);
    }
    buf_clear(position);
    buf_append_cstr(position, page->next_page_token);
    return 0;
}

int audit_api_page(struct fiber *self, struct audit_api *api, size_t n, struct str token, int size,
                   struct audit_page *out, struct fault *fault) {
    struct buf position;
    buf_init(&position);
    int e = read_page(self, api, &api->doors[n % CONNECTIONS], token, size, &position, &out->shown, fault);
    bool is_end = position.len == 0;
    out->owed = (size_t)size + is_end;
    buf_free(&position);
    return e;
}

int audit_api_whole(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                    struct audit_page *out, struct fault *fault) {
    struct door *door = &api->doors[n % CONNECTIONS];
    struct buf position;
    buf_init(&position);
    out->owed = HOME_LENGTH;
    int e;
    do {
        e = read_page(self, api, door, token, api->page_size, &position, &out->shown, fault);
        arena_reset(fiber_arena(self));
    } while (e == 0 && position.len > 0 && out->shown.n < READ_AT_MOST);
    buf_free(&position);
    return e;
}

/* ---- live streams -------------------------------------------------------------------------------------- */

static int open_stream(struct fiber *self, struct audit_api *api, struct door *door,
                       struct rpc_client_call *call, struct rpc_client_stream **out) {
    struct rpc_client *client;
    int e = connection(self, api, door, &client);
    return e != 0 ? e : rpc_client_stream_open(self, client, call, out);
}

static int note_message(struct fiber *self, struct str message, struct audit_heard *heard,
                        struct fault *fault) {
    const ProtobufCMessage *decoded =
        pb_decode(&rookery__v1__stream_home_timeline_response__descriptor, message, fiber_arena(self), fault);
    if (!decoded) return fault->error;
    const Rookery__V1__StreamHomeTimelineResponse *m = (const void *)decoded;
    if (m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_ITEM) {
        struct audit_entry entry = entry_of(m->item);
        audit_view_add(&heard->items, &entry);
    } else if (m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_DELETED_ID) {
        ids_push(&heard->deleted, m->deleted_id);
    } else if (m->event_case == ROOKERY__V1__STREAM_HOME_TIMELINE_RESPONSE__EVENT_RESET) {
        heard->incomplete = true;
    }
    return 0;
}

/* Reads to the end. *live: a message has come. */
static int hear_out(struct fiber *self, struct rpc_client_stream *s, const struct audit_ear *ear, bool *live,
                    struct fault *fault) {
    for (;;) {
        struct str message;
        bool end;
        int e = rpc_client_stream_read(self, s, &message, &end);
        if (e != 0 || end) return e;
        e = note_message(self, message, ear->heard, fault);
        if (e != 0) return e;
        if (!*live) ear->began(ear->arg);
        *live = true;
        arena_reset(fiber_arena(self));
    }
}

/* Once. *again: a later try may do better. */
static int listen_once(struct fiber *self, struct audit_api *api, struct door *door, struct str token,
                       const struct audit_ear *ear, bool *again, struct fault *fault) {
    struct rpc_client_call call = {.path = "/rookery.v1.TimelineService/StreamHomeTimeline", .bearer = token};
    struct rpc_client_stream *s;
    bool live = false;
    int e = open_stream(self, api, door, &call, &s);
    if (e == 0) {
        e = hear_out(self, s, ear, &live, fault);
        rpc_client_stream_close(s);
    }
    *again = false;
    if (fiber_cancelled(self)) return 0;
    if (fault->error == ERR_OK && live) {
        ear->heard->incomplete = true;
        return 0;
    }
    if (fault->error != ERR_OK) return fault->error; /* it was not a message of this service */
    *again = e != 0 ? error_retryable(e) : worth_retrying(call.grpc_status);
    return e != 0 ? no_answer(api, e, fault) : bad_answer(api, &call, fault);
}

int audit_api_listen(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                     const struct audit_ear *ear, struct fault *fault) {
    int64_t began_ns = clock_mono_ns();
    for (unsigned attempt = 0;; attempt++) {
        bool again;
        *fault = (struct fault){0};
        int e = listen_once(self, api, &api->doors[n % CONNECTIONS], token, ear, &again, fault);
        if (e == 0 || !again || !may_retry(self, api, began_ns, attempt)) return e;
    }
}
