/* A whole Rookery in one process: a gateway that is called over loopback, and a worker with all its roles. Each test
 * goes one way through all rooms, from a call to what other callers see of it. (Details are for the rooms' own tests;
 * most of tests/mutants/assertions is tried here, since this is the quickest way through everything.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/domain/account/account.h"
#include "core/domain/account/account_internal.h"
#include "core/domain/job/dataset.h"
#include "core/event/epoch.h"
#include "core/process/connect.h"
#include "core/rpc/client.h"
#include "core/text/fields.h"
#include "gateway/service/auth.h"
#include "gateway/service/service.h"
#include "rookery/v1/timeline.pb-c.h"
#include "tests/unit/support/gateway_world.h"
#include "workers/outbox/relay.h"
#include "workers/roles.h"
#include "workers/runtime/backlog.h"
#include "workers/runtime/trim.h"

enum { ADA, BOB, CEM, DORA, PEOPLE = 16 };

struct person {
    int64_t id;
    struct str token;
};

struct whole {
    struct gateway_world *world;
    struct text_fields texts;
    struct worker worker;
    struct rpc_client *client;
    struct person people[PEOPLE];
    struct arena arena; /* of what must outlive a step */
};

/* Gives others their turn until it is so; half a minute at most. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int64_t give_up = in_ms(30000);                                                                      \
        while (!(condition) && clock_mono_ns() < give_up) fiber_sleep_ms(self, 20);                          \
        CHECK(condition);                                                                                    \
    } while (0)

/* ---- the process --------------------------------------------------------------------------------------- */

static bool ready(void *context) {
    (void)context;
    return true;
}

static void serve(struct fiber *self, struct whole *t) {
    struct gateway *g = &t->world->gateway;
    struct fault fault = {0};
    char address[32];
    service_texts_init(&t->texts);
    struct rpc_server_options o = {.listen = "127.0.0.1:0",
                                   .texts = &t->texts,
                                   .authenticate = auth_authenticate,
                                   .context = g,
                                   .ready = ready,
                                   .request_timeout_ms = 30000,
                                   .max_calls = 100,
                                   .max_connections = 100,
                                   .max_message_bytes = 1 << 20};
    o.methods = service_methods(&o.n_methods);
    g->server = rpc_server_start(g->domain.loop, &o, g->domain.log, g->domain.metrics, &fault);
    CHECK(g->server != NULL);
    snprintf(address, sizeof address, "127.0.0.1:%d", rpc_server_port(g->server));
    CHECK_INT(rpc_client_open(self, address, &t->client), 0);
}

static void work(struct fiber *self, struct whole *t) {
    struct worker *w = &t->worker;
    struct domain *d = &w->domain;
    struct fault fault = {0};
    struct pg_options pg = {
        .url = t->world->postgres.url, .connections = 4, .pipeline = 16, .application_name = "test"};
    size_t n = 0;
    *w = (struct worker){.consumer = "whole"};
    *d = (struct domain){.loop = fiber_loop(self), .config = &t->world->config};
    d->log = log_new("test", LOG_ERROR, 2);
    d->metrics = metrics_new();
    d->pg = pg_open(d->loop, &pg, d->log, d->metrics);
    d->redis = redis_open(d->loop, t->world->redis.url, "test", d->log, d->metrics);
    CHECK_INT(pg_wait_ready(self, d->pg), 0);
    CHECK_INT(redis_wait_ready(self, d->redis), 0);
    CHECK_INT(domain_start(self, d, &fault), 0);
    while (ROLES[n]) n++;
    CHECK_INT(runtime_start(w, ROLES, n), 0);
    CHECK_INT(relay_start(w), 0);
}

static void stop_working(struct fiber *self, struct whole *t) {
    struct domain *d = &t->worker.domain;
    runtime_stop(self, &t->worker);
    domain_stop(self, d);
    redis_close(self, d->redis);
    pg_close(self, d->pg, 1000);
    metrics_free(d->metrics);
    log_free(d->log);
}

/* Accounts with a session each; passwords would take their time. */
static void invite(struct fiber *self, struct whole *t) {
    static int64_t next = 1000;
    struct new_session session;
    struct fault fault = {0};
    gateway_world_accounts(t->world, next, PEOPLE);
    for (int i = 0; i < PEOPLE; i++) {
        struct domain *d = &t->world->gateway.domain;
        CHECK_INT(session_open(self, d, next, STR("test"), &session, &fault), 0);
        t->people[i] = (struct person){
            next++, {arena_strndup(&t->arena, session.token.ptr, session.token.len), session.token.len}};
    }
}

static void whole_open(struct fiber *self, struct whole *t, struct gateway_world *w) {
    *t = (struct whole){.world = w};
    arena_init(&t->arena, 0);
    gateway_world_open(self, w);
    serve(self, t);
    work(self, t);
    invite(self, t);
    WAIT_UNTIL(epoch_now(&t->worker.domain) != 0);
}

static void whole_close(struct fiber *self, struct whole *t) {
    rpc_client_close(self, t->client);
    rpc_server_stop(self, t->world->gateway.server, 5000);
    stop_working(self, t);
    gateway_world_close(self, t->world);
    text_fields_free(&t->texts);
    arena_free(&t->arena);
}

/* ---- calls, in JSON ------------------------------------------------------------------------------------ */

static const struct rpc_method *method_of(const char *name, char path[static 128]) {
    size_t n;
    const struct rpc_method *methods = service_methods(&n);
    snprintf(path, 128, "/rookery.v1.%s", name);
    for (size_t i = 0; i < n; i++)
        if (strcmp(methods[i].path, path) == 0) return &methods[i];
    CHECK_STR(STR("no such method"), name);
    return methods;
}

static struct str encoded(struct fiber *self, const ProtobufCMessageDescriptor *type, const char *json) {
    struct fault fault = {0};
    const ProtobufCMessage *m = json_decode(type, str_from(json), fiber_arena(self), &fault);
    CHECK_STR(str_from(fault.text), "");
    return m ? pb_encode_arena(m, fiber_arena(self)) : STR("");
}

static char *in_json(struct fiber *self, const ProtobufCMessageDescriptor *type, struct str bytes) {
    struct buf out;
    buf_init(&out);
    const ProtobufCMessage *m = pb_decode(type, bytes, fiber_arena(self), NULL);
    if (CHECK(m != NULL)) json_encode(m, &out);
    char *json = arena_strndup(fiber_arena(self), out.ptr ? out.ptr : "", out.len);
    buf_free(&out);
    return json;
}

static struct rpc_client_call ask_gateway(struct fiber *self, struct whole *t, int who, const char *name,
                                          const char *json) {
    static char path[128];
    const struct rpc_method *m = method_of(name, path);
    struct rpc_client_call c = {.path = path,
                                .bearer = t->people[who].token,
                                .request = encoded(self, m->request, json),
                                .timeout_ms = 30000};
    CHECK_INT(rpc_client_unary(self, t->client, &c), 0);
    return c;
}

/* The reply, in the fiber's arena. */
__attribute__((format(printf, 5, 6))) static char *call(struct fiber *self, struct whole *t, int who,
                                                        const char *name, const char *format, ...) {
    char path[128], json[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(json, sizeof json, format, args);
    va_end(args);
    struct rpc_client_call c = ask_gateway(self, t, who, name, json);
    if (!CHECK_STR(c.grpc_message, "") || !CHECK_INT(c.grpc_status, 0)) return "";
    return in_json(self, method_of(name, path)->reply, c.reply);
}

/* A post's methods do not know this id. */
static void check_no_post(struct fiber *self, struct whole *t, int who, const char *name, int64_t id) {
    struct rpc_client_call c =
        ask_gateway(self, t, who, name, arena_printf(fiber_arena(self), "{\"postId\":\"%" PRId64 "\"}", id));
    CHECK_STR(c.grpc_message, "there is no post with this post_id");
}

/* The value of the first member of this name; without its quotes. */
static struct str value_of(const char *json, const char *name) {
    char key[64];
    int n = snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    if (!at) return STR("");
    at += n + (at[n] == '"');
    return (struct str){at, strcspn(at, "\",}]")};
}

static int64_t number_of(const char *json, const char *name) {
    int64_t n = 0;
    str_to_i64(value_of(json, name), &n);
    return n;
}

static int count_of(const char *json, const char *text) {
    int n = 0;
    for (const char *at = json; (at = strstr(at, text)) != NULL; at++) n++;
    return n;
}

static bool names(const char *json, int64_t id) {
    char text[32];
    snprintf(text, sizeof text, "\"%" PRId64 "\"", id);
    return strstr(json, text) != NULL;
}

/* Reads a list to its end, in pages of this size; `member` is what its items are called. Returns how many there
 * were. */
static int read_pages(struct fiber *self, struct whole *t, int who, const char *method, const char *request,
                      const char *item, int size) {
    char token[600] = "";
    int n = 0;
    for (int pages = 0; pages < 50; pages++) {
        const char *page =
            call(self, t, who, method, "{%s\"pageSize\":%d,\"pageToken\":\"%s\"}", request, size, token);
        struct str next = value_of(page, "nextPageToken");
        int on_page = count_of(page, item);
        CHECK(on_page <= size);
        n += on_page;
        if (next.len == 0 || next.len >= sizeof token) break;
        CHECK_INT(on_page, size);
        snprintf(token, sizeof token, STR_FMT, STR_ARG(next));
    }
    return n;
}

static int64_t write_post(struct fiber *self, struct whole *t, int who, const char *text, int64_t reply_to) {
    return number_of(call(self, t, who, "PostService/CreatePost",
                          "{\"text\":\"%s\",\"replyToId\":\"%" PRId64 "\"}", text, reply_to),
                     "id");
}

static void follow(struct fiber *self, struct whole *t, int who, int whom) {
    call(self, t, who, "GraphService/Follow", "{\"accountId\":\"%" PRId64 "\"}", t->people[whom].id);
}

/* ---- posts --------------------------------------------------------------------------------------------- */

static void converse(struct fiber *self, struct whole *t, int64_t *post, int64_t *deepest) {
    *post = write_post(self, t, ADA, "hello #birds", 0);
    int64_t reply = *post;
    for (int i = 0; i < 3; i++) reply = write_post(self, t, BOB, "indeed", *post);
    *deepest = write_post(self, t, CEM, "really?", reply);
    for (int i = 0; i < 3; i++)
        call(self, t, ADA, "PostService/EditPost", "{\"postId\":\"%" PRId64 "\",\"text\":\"hello %d\"}",
             *post, i);
    for (int who = BOB; who <= DORA; who++)
        call(self, t, who, "PostService/Like", "{\"postId\":\"%" PRId64 "\"}", *post);
    for (int who = BOB; who <= CEM; who++)
        call(self, t, who, "PostService/Repost", "{\"postId\":\"%" PRId64 "\"}", *post);
    call(self, t, BOB, "PostService/BookmarkPost", "{\"postId\":\"%" PRId64 "\"}", *post);
    call(self, t, BOB, "PostService/BookmarkPost", "{\"postId\":\"%" PRId64 "\"}", *deepest);
}

static void read_everything(struct fiber *self, struct whole *t, int64_t post, int64_t deepest) {
    char of_post[64], of_ada[64], of_bob[64];
    snprintf(of_post, sizeof of_post, "\"postId\":\"%" PRId64 "\",", post);
    snprintf(of_ada, sizeof of_ada, "\"accountId\":\"%" PRId64 "\",", t->people[ADA].id);
    snprintf(of_bob, sizeof of_bob, "\"accountId\":\"%" PRId64 "\",", t->people[BOB].id);
    CHECK_INT(read_pages(self, t, DORA, "PostService/ListReplies", of_post, "\"text\":", 1), 3);
    CHECK_INT(read_pages(self, t, DORA, "PostService/ListEdits", of_post, "\"text\":", 1), 3);
    CHECK_INT(read_pages(self, t, DORA, "PostService/ListLikes", of_post, "\"handle\":", 1), 3);
    CHECK_INT(read_pages(self, t, DORA, "PostService/ListReposts", of_post, "\"handle\":", 5), 2);
    CHECK_INT(read_pages(self, t, BOB, "PostService/ListBookmarks", "", "\"text\":", 1), 2);
    CHECK_INT(read_pages(self, t, DORA, "GraphService/ListFollowers", of_ada, "\"handle\":", 1), 3);
    CHECK_INT(read_pages(self, t, DORA, "GraphService/ListFollowing", of_ada, "\"handle\":", 1), 0);
    CHECK_INT(read_pages(self, t, DORA, "TimelineService/GetUserTimeline", of_ada, "\"post\":", 2), 1);
    CHECK_INT(read_pages(self, t, DORA, "TimelineService/GetUserTimeline", of_bob, "\"post\":", 2), 4);
    const char *thread =
        call(self, t, DORA, "PostService/GetThread", "{\"postId\":\"%" PRId64 "\"}", deepest);
    CHECK(names(thread, post));
    CHECK_INT(count_of(thread, "\"text\":"), 3);
}

static void everybody_reads_what_was_written(struct fiber *self, struct whole *t) {
    int64_t post, deepest;
    char query[128], reposts[128];
    for (int who = BOB; who <= DORA; who++) follow(self, t, who, ADA);
    follow(self, t, DORA, BOB);
    read_pages(self, t, DORA, "TimelineService/GetHomeTimeline", "", "\"post\":", 5); /* builds the list */
    converse(self, t, &post, &deepest);
    read_everything(self, t, post, deepest);
    /* Her post, his three replies and his repost; the reply of someone she does not follow is not for her. */
    WAIT_UNTIL(read_pages(self, t, DORA, "TimelineService/GetHomeTimeline", "", "\"post\":", 2) == 5);
    snprintf(query, sizeof query,
             "SELECT likes + reposts + replies FROM post_counts WHERE post_id = %" PRId64, post);
    WAIT_UNTIL(postgres_number(&t->world->postgres, query) == 8);
    snprintf(reposts, sizeof reposts, "SELECT max(id) FROM posts WHERE repost_of_id = %" PRId64, post);
    int64_t repost = postgres_number(&t->world->postgres, reposts);
    check_no_post(self, t, DORA, "PostService/GetPost", repost);
    check_no_post(self, t, DORA, "PostService/GetThread", repost);
    check_no_post(self, t, DORA, "PostService/ListReplies", repost);
    call(self, t, BOB, "PostService/Unrepost", "{\"postId\":\"%" PRId64 "\"}", post);
    call(self, t, BOB, "PostService/Unlike", "{\"postId\":\"%" PRId64 "\"}", post);
    WAIT_UNTIL(postgres_number(&t->world->postgres, query) == 6);
    call(self, t, ADA, "PostService/DeletePost", "{\"postId\":\"%" PRId64 "\"}", post);
    WAIT_UNTIL(read_pages(self, t, DORA, "TimelineService/GetHomeTimeline", "", "\"post\":", 2) == 3);
    const char *thread = call(self, t, DORA, "PostService/GetThread", "{\"postId\":\"%" PRId64 "\"}", post);
    CHECK(names(thread, post) && strstr(thread, "\"deleted\":true")); /* his replies are below it */
    thread = call(self, t, DORA, "PostService/GetThread", "{\"postId\":\"%" PRId64 "\"}", deepest);
    CHECK(names(thread, post) && names(thread, deepest) && strstr(thread, "\"deleted\":true"));
}

static void relations_and_sessions_are_the_callers_own(struct fiber *self, struct whole *t) {
    static const char *const verbs[] = {"Mute", "Unmute", "Block", "Unblock", "Unfollow"};
    struct new_session another;
    struct fault fault = {0};
    char method[64];
    write_post(self, t, ADA, "hello", 0);
    follow(self, t, BOB, ADA);
    CHECK_INT(read_pages(self, t, BOB, "TimelineService/GetHomeTimeline", "", "\"post\":", 5), 1);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        snprintf(method, sizeof method, "GraphService/%s", verbs[i]);
        call(self, t, BOB, method, "{\"accountId\":\"%" PRId64 "\"}", t->people[ADA].id);
        int seen = read_pages(self, t, BOB, "TimelineService/GetHomeTimeline", "", "\"post\":", 5);
        CHECK_INT(seen, i == 1);
    }
    char agent[300];
    memset(agent, 'x', sizeof agent);
    for (int i = 0; i < 2; i++)
        CHECK_INT(session_open(self, &t->world->gateway.domain, t->people[BOB].id,
                               (struct str){agent, sizeof agent}, &another, &fault),
                  0);
    CHECK_INT(read_pages(self, t, BOB, "AccountService/ListSessions", "", "\"createTime\":", 1), 3);
    call(self, t, BOB, "AccountService/RevokeSession", "{\"sessionId\":\"%" PRId64 "\"}", another.session.id);
    CHECK_INT(read_pages(self, t, BOB, "AccountService/ListSessions", "", "\"createTime\":", 1), 2);
    call(self, t, BOB, "AccountService/Register",
         "{\"handle\":\"newcomer\",\"displayName\":\"New\",\"password\":\"a long password\"}");
}

/* ---- live ---------------------------------------------------------------------------------------------- */

struct listening {
    struct rpc_client_call call;
    struct rpc_client_stream *stream;
    char token[600]; /* of the last message */
};

static void listen_from(struct fiber *self, struct whole *t, struct listening *l, int who,
                        const char *token) {
    static char path[128];
    const struct rpc_method *m = method_of("TimelineService/StreamHomeTimeline", path);
    l->call = (struct rpc_client_call){.path = path, .bearer = t->people[who].token};
    l->call.request =
        encoded(self, m->request, arena_printf(fiber_arena(self), "{\"resumeToken\":\"%s\"}", token));
    CHECK_INT(rpc_client_stream_open(self, t->client, &l->call, &l->stream), 0);
}

/* The next message that is of this kind. */
static const char *hear(struct fiber *self, struct listening *l, const char *kind) {
    for (int i = 0; i < 20; i++) {
        struct str bytes;
        bool end = false;
        fiber_set_deadline_ns(self, in_ms(30000));
        int e = rpc_client_stream_read(self, l->stream, &bytes, &end);
        fiber_set_deadline_ns(self, 0);
        if (!CHECK_INT(e, 0) || !CHECK(!end)) return "";
        const char *json = in_json(self, &rookery__v1__stream_home_timeline_response__descriptor, bytes);
        struct str token = value_of(json, "resumeToken");
        if (token.len > 0) snprintf(l->token, sizeof l->token, STR_FMT, STR_ARG(token));
        if (value_of(json, kind).len > 0) return json;
    }
    CHECK_STR(STR("no such message"), kind);
    return "";
}

static void streams_bring_what_is_new_and_go_on_where_they_were(struct fiber *self, struct whole *t) {
    struct listening l = {.token = ""}, other = {.token = ""}, connected = {.token = ""};
    struct new_session another;
    struct fault fault = {0};
    follow(self, t, BOB, ADA);
    follow(self, t, BOB, CEM);
    follow(self, t, DORA, ADA);
    CHECK_INT(session_open(self, &t->world->gateway.domain, t->people[BOB].id, STR("x"), &another, &fault),
              0);
    listen_from(self, t, &l, BOB, "");
    hear(self, &l, "heartbeat");
    listen_from(self, t, &other, DORA, "");
    hear(self, &other, "heartbeat");
    follow(self, t, BOB, DORA);
    hear(self, &l, "reset"); /* or it would stand for what comes meanwhile */
    rpc_client_stream_close(other.stream);
    int64_t post = write_post(self, t, ADA, "live", 0);
    CHECK(names(hear(self, &l, "item"), post));
    call(self, t, CEM, "PostService/Repost", "{\"postId\":\"%" PRId64 "\"}", post);
    CHECK(names(hear(self, &l, "repostedById"), post));
    call(self, t, ADA, "PostService/EditPost", "{\"postId\":\"%" PRId64 "\",\"text\":\"alive\"}", post);
    CHECK(names(hear(self, &l, "edited"), post));
    rpc_client_stream_close(l.stream);
    /* What this one has told, the gateway has heard: a resumed stream finds all of it. */
    listen_from(self, t, &connected, BOB, "");
    hear(self, &connected, "heartbeat");
    follow(self, t, BOB, DORA + 1);
    hear(self, &connected, "reset");
    int64_t missed[3];
    for (int i = 0; i < 3; i++) missed[i] = write_post(self, t, ADA, "missed", 0);
    for (int i = 0; i < 3; i++) CHECK(names(hear(self, &connected, "item"), missed[i]));
    call(self, t, ADA, "PostService/DeletePost", "{\"postId\":\"%" PRId64 "\"}", post);
    listen_from(self, t, &l, BOB, l.token);
    hear(self, &l, "reset"); /* he follows another one since */
    rpc_client_stream_close(l.stream);
    for (int i = 0; i < 3; i++) {
        missed[i] = write_post(self, t, i == 1 ? CEM : ADA, "missed", 0);
        hear(self, &connected, "item");
    }
    rpc_client_stream_close(connected.stream);
    listen_from(self, t, &l, BOB, l.token);
    for (int i = 0; i < 3; i++) CHECK(names(hear(self, &l, "item"), missed[i]));
    call(self, t, BOB, "AccountService/RevokeSession", "{\"sessionId\":\"%" PRId64 "\"}", another.session.id);
    call(self, t, CEM, "PostService/DeletePost", "{\"postId\":\"%" PRId64 "\"}", missed[1]);
    CHECK(names(hear(self, &l, "deletedId"), missed[1]));
    rpc_client_stream_close(l.stream);
}

/* ---- large audiences ----------------------------------------------------------------------------------- */

static bool all_read(struct fiber *self, struct whole *t, int64_t post) {
    for (int who = BOB; who < PEOPLE; who++)
        if (!names(call(self, t, who, "TimelineService/GetHomeTimeline", "{\"pageSize\":5}"), post))
            return false;
    return true;
}

static void a_large_audience_is_reached_in_chunks_and_then_reads_by_itself(struct fiber *self,
                                                                           struct whole *t) {
    char query[128];
    t->world->config.chunk_audience = 4;
    t->world->config.pull_audience = 100;
    for (int who = BOB; who < PEOPLE; who++) follow(self, t, who, ADA);
    for (int who = CEM; who < PEOPLE; who++) follow(self, t, who, BOB);
    for (int i = 0; i < 3; i++) {
        int64_t post = write_post(self, t, ADA, "to all", 0);
        WAIT_UNTIL(all_read(self, t, post));
    }
    int64_t first = write_post(self, t, DORA, "a start", 0);
    follow(self, t, CEM, DORA);
    int64_t answer = write_post(self, t, DORA, "to one whom many follow", write_post(self, t, ADA, "ask", 0));
    WAIT_UNTIL(names(call(self, t, CEM, "TimelineService/GetHomeTimeline", "{\"pageSize\":5}"), answer));
    CHECK(first != 0);
    t->world->config.pull_audience = 6;
    write_post(self, t, ADA, "to too many", 0);
    snprintf(query, sizeof query, "SELECT pulled::int FROM account_stats WHERE account_id = %" PRId64,
             t->people[ADA].id);
    WAIT_UNTIL(postgres_number(&t->world->postgres, query) == 1);
    for (int i = 0; i < 3; i++) {
        int64_t post = write_post(self, t, ADA, "to all who look", 0);
        WAIT_UNTIL(all_read(self, t, post));
    }
    t->world->config.chunk_audience = 5000;
    t->world->config.pull_audience = 1000000;
}

/* ---- jobs ---------------------------------------------------------------------------------------------- */

static int64_t upload(struct fiber *self, struct whole *t, int who, const char *name, const char *csv,
                      const char *state) {
    struct domain *d = &t->world->gateway.domain;
    struct dataset_record made;
    struct fault fault = {0};
    struct dataset_draft draft = {.owner_id = t->people[who].id,
                                  .name = str_from(name),
                                  .idempotency_key = str_from(name),
                                  .source = ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD,
                                  .size_bytes = (int64_t)strlen(csv),
                                  .sha256 = STR("0123456789abcdef0123456789abcdef")};
    CHECK_INT(dataset_create(self, d, &draft, &made, &fault), 0);
    CHECK_INT(dataset_append(self, d, made.id, 0, 0, str_from(csv), STR(""), &fault), 0);
    CHECK_INT(dataset_complete(self, d, made.id, 0, &fault), 0);
    WAIT_UNTIL(strstr(
        call(self, t, who, "JobService/DescribeDataset", "{\"datasetId\":\"%" PRId64 "\"}", made.id), state));
    return made.id;
}

static void await_job(struct fiber *self, struct whole *t, int who, int64_t dataset, const char *spec) {
    const char *made = call(self, t, who, "JobService/CreateJob",
                            "{\"datasetId\":\"%" PRId64 "\",\"spec\":{%s}}", dataset, spec);
    int64_t id = number_of(made, "id");
    const char *now;
    WAIT_UNTIL(strstr(now = call(self, t, who, "JobService/GetJob", "{\"jobId\":\"%" PRId64 "\"}", id),
                      "JOB_STATE_SUCCEEDED") ||
               strstr(now, "JOB_STATE_FAILED"));
    CHECK_STR(value_of(now, "error"), "");
    CHECK(number_of(now, "resultBytes") > 0);
}

static char *many_slices(struct fiber *self) {
    struct buf b;
    buf_init(&b);
    buf_append_cstr(&b, "g,x,y,z\n");
    for (int g = 0; g < 6; g++)
        for (int i = 0; i < 6; i++)
            buf_printf(&b, "s%d,%d,%d,%s\n", g, i, 3 * i + g + i * i % 3, i == 4 ? "" : i % 2 ? "a" : "b");
    char *csv = arena_strndup(fiber_arena(self), b.ptr, b.len);
    buf_free(&b);
    return csv;
}

static void jobs_are_cut_into_tasks_and_put_together(struct fiber *self, struct whole *t) {
    static const char ready[] = "DATASET_STATE_READY";
    upload(self, t, BOB, "broken", "a,b\n1,2\n3\n", "DATASET_STATE_FAILED");
    int64_t data = upload(self, t, ADA, "slices", many_slices(self), ready);
    int64_t map = upload(self, t, ADA, "map", "transcript_id,gene\nt1,g1\nt2,g1\nt3,g2\n", ready);
    int64_t tpm = upload(self, t, ADA, "tpm",
                         "patient_id,transcript_id,tpm\np2,t1,1\np1,t2,2\np1,t3,\np2,t3,4\np3,t1,5\n", ready);
    int64_t variants = upload(self, t, ADA, "variants",
                              "variant_id,disease_status,patient_id\nv1,diseased,p1\nv1,diseased,p2\n"
                              "v2,healthy,p3\nv2,healthy,p4\nv1,healthy,p3\n",
                              ready);
    await_job(self, t, ADA, data,
              "\"logistic\":{\"regression\":{\"y\":\"z\",\"x\":[\"x\",\"y\"],"
              "\"missing\":\"MISSING_POLICY_MODE\",\"imputeResponse\":true}}");
    t->world->config.job_part_rows = 12;
    await_job(self, t, ADA, data,
              "\"linear\":{\"regression\":{\"sliceBy\":[\"g\"],\"y\":\"y\",\"x\":[\"x\"]}}");
    t->world->config.job_part_rows = 100000;
    await_job(self, t, ADA, variants,
              "\"association\":{\"variant\":\"variant_id\",\"status\":\"disease_status\","
              "\"patient\":\"patient_id\",\"minPatients\":1}");
    await_job(self, t, ADA, tpm,
              arena_printf(fiber_arena(self),
                           "\"log2Sum\":{\"patient\":\"patient_id\",\"transcript\":\"transcript_id\","
                           "\"tpm\":\"tpm\",\"mapDatasetId\":\"%" PRId64 "\"}",
                           map));
    CHECK_INT(read_pages(self, t, ADA, "JobService/ListJobs", "", "\"taskCount\":", 1), 4);
    CHECK_INT(read_pages(self, t, ADA, "JobService/ListDatasets", "", "\"name\":", 1), 4);
    for (int who = CEM; who >= BOB; who--)
        call(self, t, ADA, "JobService/ShareDataset",
             "{\"datasetId\":\"%" PRId64 "\",\"accountId\":\"%" PRId64 "\"}", data, t->people[who].id);
    const char *described =
        call(self, t, ADA, "JobService/DescribeDataset", "{\"datasetId\":\"%" PRId64 "\"}", data);
    CHECK(names(described, t->people[BOB].id) && names(described, t->people[CEM].id));
}

/* ---- the operator's ------------------------------------------------------------------------------------ */

/* The newest entries of each stream, as if workers that had them in hand had died, time and again; and twice more. */
static const struct redis_script SUSPECTS = {
    .name = "test_suspects",
    .body =
        "local n = 0\n"
        "for p = 0, 3 do\n"
        "  local key = 'events:{' .. p .. '}'\n"
        "  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 2)\n"
        "  for i, entry in ipairs(newest) do\n"
        "    redis.call('XCLAIM', key, 'fanout', 'ghost', 0, entry[1], 'FORCE', 'IDLE', 1000000,\n"
        "      'RETRYCOUNT', 3)\n"
        "    n = n + 1\n"
        "  end\n"
        "  for i = 1, 2 * math.min(#newest, 1) do redis.call('XADD', key, '*', unpack(newest[1][2])) end\n"
        "end\n"
        "return n\n",
};
static const struct redis_script PENDING = {
    .name = "test_pending",
    .body = "local n = 0\n"
            "for p = 0, 3 do n = n + redis.call('XPENDING', 'events:{' .. p .. '}', 'fanout')[1] end\n"
            "return n\n",
};

static int64_t ask(struct fiber *self, struct redis *redis, const struct redis_script *script) {
    const struct redis_reply *reply;
    return CHECK_INT(redis_eval(self, redis, script, STR("events:{0}"), NULL, 0, &reply), 0) ? reply->integer
                                                                                             : 0;
}

static void what_gateways_and_workers_left_behind_is_done(struct fiber *self, struct whole *t) {
    struct domain *d = &t->worker.domain;
    struct postgres *sql = &t->world->postgres;
    for (int i = 0; i < 20; i++) write_post(self, t, i % 2 ? ADA : BOB, "many", 0);
    WAIT_UNTIL(ask(self, d->redis, &PENDING) == 0);
    CHECK(ask(self, d->redis, &SUSPECTS) >= 2);
    WAIT_UNTIL(ask(self, d->redis, &PENDING) == 0);
    WAIT_UNTIL(postgres_number(sql, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0);
    CHECK(postgres_try(sql, "UPDATE outbox SET published_at = NULL"));
    WAIT_UNTIL(postgres_number(sql, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0);
}

static void what_is_no_event_becomes_a_dead_letter_and_the_backlog_empties(struct fiber *self,
                                                                           struct whole *t) {
    struct domain *d = &t->worker.domain;
    struct backlog b;
    struct fault fault = {0};
    CHECK_INT(redis_call(self, d->redis, NULL, "XADD events:{0} * e nonsense"), 0);
    CHECK_INT(redis_call(self, d->redis, NULL, "XADD jobs:{0} * e nonsense"), 0);
    CHECK_INT(backlog_settle(self, d, 30000, &fault), 0);
    CHECK_INT(backlog_await_processed(self, d, 30000), 0);
    CHECK_INT(backlog_measure(self, d, &b, &fault), 0);
    CHECK(b.dead_letters > 0);
    trim_streams(self, &t->worker);
}

/* ---- all ----------------------------------------------------------------------------------------------- */

struct run {
    struct gateway_world *world;
    void (*fn)(struct fiber *self, struct whole *t);
};

static void in_whole(struct fiber *self, void *arg) {
    struct run *run = arg;
    static struct whole t;
    whole_open(self, &t, run->world);
    run->fn(self, &t);
    whole_close(self, &t);
}

#define TEST(fn)                                                                                             \
    static void test_##fn(void **state) {                                                                    \
        struct run run = {*state, fn};                                                                       \
        run_in_fiber(in_whole, &run);                                                                        \
    }

TEST(everybody_reads_what_was_written)
TEST(relations_and_sessions_are_the_callers_own)
TEST(streams_bring_what_is_new_and_go_on_where_they_were)
TEST(a_large_audience_is_reached_in_chunks_and_then_reads_by_itself)
TEST(jobs_are_cut_into_tasks_and_put_together)
TEST(what_gateways_and_workers_left_behind_is_done)
TEST(what_is_no_event_becomes_a_dead_letter_and_the_backlog_empties)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_reads_what_was_written),
        cmocka_unit_test(test_relations_and_sessions_are_the_callers_own),
        cmocka_unit_test(test_streams_bring_what_is_new_and_go_on_where_they_were),
        cmocka_unit_test(test_a_large_audience_is_reached_in_chunks_and_then_reads_by_itself),
        cmocka_unit_test(test_jobs_are_cut_into_tasks_and_put_together),
        cmocka_unit_test(test_what_gateways_and_workers_left_behind_is_done),
        cmocka_unit_test(test_what_is_no_event_becomes_a_dead_letter_and_the_backlog_empties),
    };
    role_table_set(ROLES);
    return cmocka_run_group_tests(tests, gateway_world_setup, gateway_world_teardown);
}
