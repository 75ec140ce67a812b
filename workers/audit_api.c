/* Home timelines as the API serves them.
 *
 * One timeline:
 *   1. GetHomeTimeline with the account's token, from the newest entry on.
 *   2. Its items are noted; the next page is asked for by the token that came with it, until there is none.
 * Failures: the gateway refuses for a while (UNAVAILABLE, too many calls) or its connection is lost: the same page is
 * asked for again, on a new connection if need be, for PATIENCE_MS at most (a gateway that has never answered is given
 * FIRST_PATIENCE_MS: its address may be wrong). Any other status ends the audit
 * with the gateway's own words. A timeline that does not end after twice its length is cut: what is too much of
 * it is reported as leaked, or as shown again.
 *
 * There are a few connections, because gateways on several processes may share a port; each carries many calls.
 */
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/domain/home.h"
#include "core/net/codec.h"
#include "core/net/rpc_client.h"
#include "rookery/v1/timeline.pb-c.h"
#include "workers/audit.h"

#define CONNECTIONS 4
#define CALL_TIMEOUT_MS 10000
#define PATIENCE_MS 30000
#define FIRST_PATIENCE_MS 3000
/* Reading on beyond the promised length, to see what should not be there. */
#define READ_AT_MOST (2 * HOME_LENGTH)

struct door {
    struct rpc_client *client;
    struct semaphore opening; /* one fiber at a time sees to the connection */
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

/* A connection that lives; what was in flight on one that does not has failed already. */
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

/* Once. *again: a later try may do better. */
static int call_once(struct fiber *self, struct audit_api *api, struct door *door,
                     struct rpc_client_call *call, bool *again, struct fault *fault) {
    struct rpc_client *client;
    int e = connection(self, api, door, &client);
    if (e == 0) e = rpc_client_unary(self, client, call);
    *again = e != 0 && error_retryable((enum error)e);
    api->answered |= e == 0;
    if (e != 0)
        return fault_set(fault, (enum error)e, "no gateway answers at %s: %s", api->address,
                         error_text((enum error)e));
    if (call->grpc_status == 0) return 0;
    *again = worth_retrying(call->grpc_status);
    return fault_set(fault, ERR_FAILED_PRECONDITION, "the gateway at %s answers: " STR_FMT, api->address,
                     STR_ARG(call->grpc_message));
}

static int call_patiently(struct fiber *self, struct audit_api *api, struct door *door,
                          struct rpc_client_call *call, struct fault *fault) {
    int64_t began_ns = clock_mono_ns();
    for (unsigned attempt = 0;; attempt++) {
        bool again;
        int e = call_once(self, api, door, call, &again, fault);
        int64_t patience_ms = api->answered ? PATIENCE_MS : FIRST_PATIENCE_MS;
        if (e == 0 || !again || clock_mono_ns() - began_ns > patience_ms * NS_PER_MS) return e;
        if (fiber_sleep_ms(self, backoff_ms(attempt, 20, 1000)) != 0) return e;
    }
}

/* ---- pages --------------------------------------------------------------------------------------------- */

static void note_items(const Rookery__V1__GetHomeTimelineResponse *page, struct audit_view *out) {
    for (size_t i = 0; i < page->n_items; i++) {
        const Rookery__V1__TimelineItem *item = page->items[i];
        struct audit_entry e = {.id = item->id, .author_id = item->reposted_by_id};
        if (item->post) {
            e.edit_count = item->post->edit_count;
            if (e.author_id == 0) e.author_id = item->post->author_id;
        }
        audit_view_add(out, &e);
    }
}

static int read_page(struct fiber *self, struct audit_api *api, struct door *door, struct str token,
                     struct buf *position, struct audit_view *out, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__GetHomeTimelineRequest request = ROOKERY__V1__GET_HOME_TIMELINE_REQUEST__INIT;
    request.page_size = api->page_size;
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
    if (!decoded) return (int)fault->error;
    const Rookery__V1__GetHomeTimelineResponse *page = (const void *)decoded;
    note_items(page, out);
    buf_clear(position);
    buf_append_cstr(position, page->next_page_token);
    return 0;
}

int audit_api_read(struct fiber *self, struct audit_api *api, size_t n, struct str token,
                   struct audit_view *out, struct fault *fault) {
    struct door *door = &api->doors[n % CONNECTIONS];
    struct buf position;
    buf_init(&position);
    int e;
    do {
        e = read_page(self, api, door, token, &position, out, fault);
        arena_reset(fiber_arena(self));
    } while (e == 0 && position.len > 0 && out->n < READ_AT_MOST);
    buf_free(&position);
    return e;
}
