/* Load on a gateway: home timelines and posts.
 *
 * Every reply is checked, because a server that answers nonsense is fast: a first or second page must have
 * exactly as many items as were asked for, and a post must come back with an id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/codec/wire.h"
#include "rookery/v1/post.pb-c.h"
#include "rookery/v1/timeline.pb-c.h"
#include "tests/load/rpcbench/load.h"

#define PAGE 20
#define TOKENS_MAX 100000

struct api {
    struct str *tokens;
    size_t n_tokens;
    bool in_order; /* every account once */
};

static bool read_tokens(const char *path, struct api *a) {
    FILE *f = fopen(path, "r");
    char line[256];
    a->tokens = calloc(TOKENS_MAX, sizeof *a->tokens);
    if (!f || !a->tokens) {
        fprintf(stderr, "rpcbench: cannot read %s\n", path);
        return false;
    }
    while (a->n_tokens < TOKENS_MAX && fgets(line, sizeof line, f)) {
        char *copy = strndup(line, strcspn(line, "\n"));
        if (!copy) abort();
        a->tokens[a->n_tokens++] = str_from(copy);
    }
    fclose(f);
    return a->n_tokens > 0;
}

static void forget_tokens(struct api *a) {
    for (size_t i = 0; i < a->n_tokens; i++) free((void *)(uintptr_t)a->tokens[i].ptr);
    free(a->tokens);
}

static struct str some_token(const struct api *a, const struct load *load) {
    return a->tokens[(a->in_order ? load_step_number(load) : random_u64()) % a->n_tokens];
}

/* ---- home timelines ------------------------------------------------------------------------------------ */

enum { ITEMS = 1, NEXT_PAGE_TOKEN = 2 }; /* fields of GetHomeTimelineResponse */

static size_t count_items(struct str reply, struct str *next) {
    struct wire_field f;
    size_t n = 0;
    *next = (struct str){0};
    while (reply.len > 0 && wire_next(&reply, &f)) {
        n += f.number == ITEMS;
        if (f.number == NEXT_PAGE_TOKEN) *next = f.payload;
    }
    return n;
}

static bool get_page(struct fiber *self, struct rpc_client *client, struct load *load, struct str bearer,
                     struct str page_token, struct str *next) {
    Rookery__V1__GetHomeTimelineRequest request = ROOKERY__V1__GET_HOME_TIMELINE_REQUEST__INIT;
    request.page_size = PAGE;
    request.page_token = str_to_cstr(fiber_arena(self), page_token);
    struct rpc_client_call call = {
        .path = "/rookery.v1.TimelineService/GetHomeTimeline",
        .bearer = bearer,
        .request = pb_encode_arena(&request.base, fiber_arena(self)),
    };
    if (!load_call(self, client, load, &call)) return false;
    size_t n = count_items(call.reply, next);
    if (n == PAGE) return true;
    fprintf(stderr, "rpcbench: a page has %zu items, not %d\n", n, PAGE);
    return false;
}

/* A first page; one time in four also the second, by the token that just came. */
static bool home_step(struct fiber *self, struct rpc_client *client, struct load *load) {
    const struct api *a = load->arg;
    struct str bearer = some_token(a, load), next;
    if (!get_page(self, client, load, bearer, STR(""), &next)) return false;
    if (random_u64() % 4 != 0) return true;
    return get_page(self, client, load, bearer, next, &next);
}

/* Every account's once, unmeasured: what is measured is readers who read again. */
int api_home(const char *address, const char *tokens, int connections, int calls, double seconds) {
    struct api a = {.in_order = true};
    int status = 1;
    struct load warm = {.address = address, .connections = 2, .calls = 16, .step = home_step, .arg = &a};
    struct load load = {.address = address,
                        .connections = connections,
                        .calls = calls,
                        .seconds = seconds,
                        .step = home_step,
                        .arg = &a};
    if (read_tokens(tokens, &a)) {
        warm.steps = a.n_tokens;
        status = load_run(&warm, true);
        a.in_order = false;
        if (status == 0) status = load_run(&load, false);
    }
    forget_tokens(&a);
    return status;
}

/* ---- posts --------------------------------------------------------------------------------------------- */

static char *some_text(struct arena *a, uint64_t number) {
    static const char *const words[] = {"the", "colony", "wakes", "before", "dawn",  "and",    "every",
                                        "one", "of",     "them",  "has",    "heard", "#birds", "something"};
    struct buf b;
    buf_init(&b);
    buf_printf(&b, "%llu", (unsigned long long)number);
    for (uint64_t n = 8 + random_u64() % 24; n > 0; n--)
        buf_printf(&b, " %s", words[random_u64() % (sizeof words / sizeof *words)]);
    if (number % 4 == 0) buf_printf(&b, " @bench%llu", (unsigned long long)(1 + number % 100));
    char *text = arena_strndup(a, b.ptr, b.len);
    buf_free(&b);
    return text;
}

static bool post_step(struct fiber *self, struct rpc_client *client, struct load *load) {
    struct arena *a = fiber_arena(self);
    Rookery__V1__CreatePostRequest request = ROOKERY__V1__CREATE_POST_REQUEST__INIT;
    request.text = some_text(a, load_step_number(load));
    struct rpc_client_call call = {
        .path = "/rookery.v1.PostService/CreatePost",
        .bearer = some_token(load->arg, load),
        .request = pb_encode_arena(&request.base, a),
    };
    if (!load_call(self, client, load, &call)) return false;
    const Rookery__V1__CreatePostResponse *reply = (const Rookery__V1__CreatePostResponse *)(void *)pb_decode(
        &rookery__v1__create_post_response__descriptor, call.reply, a, NULL);
    if (reply && reply->post && reply->post->id > 0) return true;
    fprintf(stderr, "rpcbench: the answer to CreatePost holds no post\n");
    return false;
}

int api_post(const char *address, const char *tokens, int connections, int calls, double seconds) {
    struct api a = {0};
    struct load load = {.address = address,
                        .connections = connections,
                        .calls = calls,
                        .seconds = seconds,
                        .step = post_step,
                        .arg = &a};
    int status = read_tokens(tokens, &a) ? load_run(&load, false) : 1;
    forget_tokens(&a);
    return status;
}
