/* GraphService. */
#include "core/domain/graph/graph.h"

#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"
#include "gateway/gateway.h"
#include "gateway/service/service.h"
#include "rookery/v1/graph.pb-c.h"

typedef int graph_write(struct fiber *self, struct domain *d, int64_t actor, int64_t target,
                        struct fault *fault);

/* Every write has the same shape: one account_id in, nothing out. */
static int write_edge(struct fiber *self, struct rpc_call *call, graph_write *write, int64_t target) {
    return rpc_reply_empty(call,
                           write(self, &gateway_of(call)->domain, caller_of(call), target, rpc_fault(call)));
}

#define EDGE_HANDLER(name, Type, fn)                                                                         \
    int name(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {                   \
        return write_edge(self, call, fn, REQUEST(Type##Request)->account_id);                               \
    }

EDGE_HANDLER(graph_service_follow, Follow, graph_follow)
EDGE_HANDLER(graph_service_unfollow, Unfollow, graph_unfollow)
EDGE_HANDLER(graph_service_block, Block, graph_block)
EDGE_HANDLER(graph_service_unblock, Unblock, graph_unblock)
EDGE_HANDLER(graph_service_mute, Mute, graph_mute)
EDGE_HANDLER(graph_service_unmute, Unmute, graph_unmute)

struct edge_page {
    Rookery__V1__AccountSummary **accounts;
    size_t n;
    char *next;
};

/* The owner of a list must exist, and must not have blocked the caller. */
static int check_owner(struct fiber *self, struct rpc_call *call, int64_t account_id) {
    struct domain *d = &gateway_of(call)->domain;
    struct account owner;
    struct graph_standing standing;
    int e = account_get(self, d, account_id, &owner, rpc_fault(call));
    if (e != 0) return e;
    e = graph_standing(self, d, caller_of(call), account_id, &standing, rpc_fault(call));
    if (e == 0 && standing.blocks_viewer)
        e = fault_set(rpc_fault(call), ERR_PERMISSION_DENIED, "this account has blocked the caller");
    return e;
}

static int list_edges(struct fiber *self, struct rpc_call *call, enum graph_list which, int64_t account_id,
                      const struct page_request *page, struct edge_page *out) {
    struct graph_edge *edges;
    size_t n;
    int e = check_owner(self, call, account_id);
    if (e == 0)
        e = graph_list(self, &gateway_of(call)->domain, which, account_id, caller_of(call), page->position.a,
                       page->size + 1, &edges, &n, rpc_fault(call));
    if (e != 0) return e;
    bool more = n > (size_t)page->size;
    out->n = more ? (size_t)page->size : n;
    out->accounts = ARENA_ARRAY(rpc_arena(call), Rookery__V1__AccountSummary *, out->n);
    for (size_t i = 0; i < out->n; i++)
        out->accounts[i] = message_summary(rpc_arena(call), &edges[i].account);
    out->next = lists_next(call, page, more, more ? edges[out->n - 1].id : 0, 0);
    return 0;
}

int graph_service_list_followers(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__ListFollowersRequest *in = REQUEST(ListFollowersRequest);
    Rookery__V1__ListFollowersResponse reply = ROOKERY__V1__LIST_FOLLOWERS_RESPONSE__INIT;
    struct page_request page;
    struct edge_page edges;
    int e = lists_page(call, LIST_FOLLOWERS, in->account_id, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0) e = list_edges(self, call, GRAPH_FOLLOWERS, in->account_id, &page, &edges);
    if (e != 0) return e;
    reply.accounts = edges.accounts;
    reply.n_accounts = edges.n;
    reply.next_page_token = edges.next;
    rpc_reply(call, &reply.base);
    return 0;
}

int graph_service_list_following(struct fiber *self, struct rpc_call *call, const ProtobufCMessage *request) {
    const Rookery__V1__ListFollowingRequest *in = REQUEST(ListFollowingRequest);
    Rookery__V1__ListFollowingResponse reply = ROOKERY__V1__LIST_FOLLOWING_RESPONSE__INIT;
    struct page_request page;
    struct edge_page edges;
    int e = lists_page(call, LIST_FOLLOWING, in->account_id, in->page_size, in->page_token, INT64_MAX, &page);
    if (e == 0) e = list_edges(self, call, GRAPH_FOLLOWING, in->account_id, &page, &edges);
    if (e != 0) return e;
    reply.accounts = edges.accounts;
    reply.n_accounts = edges.n;
    reply.next_page_token = edges.next;
    rpc_reply(call, &reply.base);
    return 0;
}
