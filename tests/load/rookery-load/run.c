/* `run`: calls to a gateway at a given rate, from an open loop.
 *
 *   1. Call i is due at start + i / rate, whatever became of the calls before it. A timer wakes the next free caller
 *      when a call is due; a call for which no caller is free waits, and its waiting counts: latency is taken from when
 *      it was due, so a server that stalls is not let off the calls that nobody could make meanwhile.
 *   2. Callers are fibers, each bound to one of the connections. Who calls, what, and with which text comes from the
 *      seed and i alone.
 *   3. When the time is over, what is under way is awaited, then counted and printed.
 * Failures: a lost connection is made anew by its keeper; calls that are due meanwhile fail at once and are counted as
 * "no connection". A status other than OK is counted by its name, and its latency is left out of the percentiles.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/async/loop.h"
#include "core/base/clock.h"
#include "core/rpc/client.h"
#include "latency.h"
#include "load.h"
#include "rookery/v1/post.pb-c.h"
#include "rookery/v1/timeline.pb-c.h"

#define STATUSES 18 /* gRPC's 0 to 16, and one for no status at all */
#define NO_STATUS 17
#define CALL_TIMEOUT_MS 10000
#define PAGE_SIZE 20
/* Longest that the first connections are waited for. */
#define CONNECT_S 3

static const char *const STATUS_NAMES[STATUSES] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED", "no connection"};

enum kind { HOME, USER, POST, KINDS };
static const char *const KIND_NAMES[KINDS] = {"home", "user", "post"};
static const char *const PATHS[KINDS] = {"/rookery.v1.TimelineService/GetHomeTimeline",
                                         "/rookery.v1.TimelineService/GetUserTimeline",
                                         "/rookery.v1.PostService/CreatePost"};

struct account {
    int64_t id;
    char *token;
};

struct outcome {
    struct latency latency; /* of those that succeeded */
    uint64_t status[STATUSES];
};

struct run_options {
    const char *gateway, *tokens_path;
    int64_t rate, seconds, connections, accounts, seed, callers;
    int64_t mix[KINDS]; /* weights */
    bool json;
};

struct run;

struct connection {
    struct run *run;
    struct rpc_client *client; /* NULL while there is none */
    int users;                 /* callers inside a call on it */
    struct fiber *keeper;
};

struct run {
    struct run_options options;
    struct loop *loop;
    struct account *accounts;
    size_t n_accounts;
    struct connection *connections;
    struct condition due; /* callers with nothing to do */
    struct latch callers_left;
    int timer_fd;
    uv_poll_t timer;
    int64_t start_ns, total, started; /* calls in all; calls handed to a caller */
    int64_t under_way, done;
    struct outcome outcomes[KINDS];
    int64_t last_ns, took_ns; /* when the last call was done; and how long all took */
    bool stopping;
    int status;
};

/* ---- when calls are due ---- */

static int64_t due_ns(const struct run *r, int64_t call) {
    return r->start_ns + (int64_t)((double)call * (double)NS_PER_S / (double)r->options.rate);
}

static void arm(struct run *r, int64_t at_ns) {
    struct itimerspec when = {.it_value = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S}};
    timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Wakes a caller for every call that is due, and sets the timer for the next. */
static void on_timer(uv_poll_t *timer, int status, int events) {
    (void)status, (void)events;
    struct run *r = timer->data;
    uint64_t expirations;
    ssize_t n = read(r->timer_fd, &expirations, sizeof expirations);
    (void)n;
    int64_t now = clock_mono_ns(), next = r->started;
    while (next < r->total && due_ns(r, next) <= now) {
        condition_signal(&r->due);
        next++;
    }
    if (next < r->total) arm(r, due_ns(r, next));
}

/* The next call that is due, or -1 when there are no more. */
static int64_t next_call(struct fiber *self, struct run *r) {
    while (r->started < r->total && clock_mono_ns() < due_ns(r, r->started))
        if (condition_wait(self, &r->due) != 0) return -1;
    return r->started < r->total ? r->started++ : -1;
}

/* ---- what is called ---- */

static enum kind choose_kind(struct run *r, struct chance *c) {
    const int64_t *mix = r->options.mix;
    int64_t at = (int64_t)chance_below(c, (uint64_t)(mix[HOME] + mix[USER] + mix[POST]));
    if (at < mix[HOME]) return HOME;
    return at < mix[HOME] + mix[USER] ? USER : POST;
}

static struct str packed(struct arena *a, const ProtobufCMessage *m) {
    size_t size = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = arena_alloc(a, size);
    protobuf_c_message_pack(m, bytes);
    return (struct str){(const char *)bytes, size};
}

static struct str home_request(struct arena *a) {
    Rookery__V1__GetHomeTimelineRequest m = ROOKERY__V1__GET_HOME_TIMELINE_REQUEST__INIT;
    m.page_size = PAGE_SIZE;
    return packed(a, &m.base);
}

static struct str user_request(struct arena *a, int64_t account_id) {
    Rookery__V1__GetUserTimelineRequest m = ROOKERY__V1__GET_USER_TIMELINE_REQUEST__INIT;
    m.account_id = account_id;
    m.page_size = PAGE_SIZE;
    return packed(a, &m.base);
}

static struct str post_request(struct arena *a, struct chance *c) {
    Rookery__V1__CreatePostRequest m = ROOKERY__V1__CREATE_POST_REQUEST__INIT;
    char text[TEXT_MAX_BYTES];
    text_of(c, text);
    m.text = text;
    return packed(a, &m.base);
}

/* ---- callers ---- */

static int call_gateway(struct fiber *self, struct connection *c, struct rpc_client_call *call) {
    if (!c->client || !rpc_client_alive(c->client)) return NO_STATUS;
    c->users++;
    int e = rpc_client_unary(self, c->client, call);
    c->users--;
    if (c->keeper) fiber_wake(c->keeper);
    return e == 0 && call->grpc_status >= 0 && call->grpc_status < NO_STATUS ? call->grpc_status : NO_STATUS;
}

static void make_call(struct fiber *self, struct connection *connection, int64_t i) {
    struct run *r = connection->run;
    struct arena *a = fiber_arena(self);
    struct chance chance = {(uint64_t)r->options.seed * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)i};
    enum kind kind = choose_kind(r, &chance);
    const struct account *who = &r->accounts[chance_below(&chance, r->n_accounts)];
    struct rpc_client_call call = {.path = PATHS[kind], .timeout_ms = CALL_TIMEOUT_MS};
    call.bearer = str_from(who->token);
    if (kind == HOME) call.request = home_request(a);
    if (kind == USER) call.request = user_request(a, r->accounts[chance_below(&chance, r->n_accounts)].id);
    if (kind == POST) call.request = post_request(a, &chance);
    r->under_way++;
    int status = call_gateway(self, connection, &call);
    r->under_way--;
    r->done++;
    r->last_ns = clock_mono_ns();
    struct outcome *o = &r->outcomes[kind];
    o->status[status]++;
    if (status == 0) latency_add(&o->latency, (r->last_ns - due_ns(r, i)) / 1000);
    arena_reset(a);
}

static void caller(struct fiber *self, void *arg) {
    struct connection *c = arg;
    for (int64_t i; (i = next_call(self, c->run)) >= 0;) make_call(self, c, i);
    condition_broadcast(&c->run->due); /* the others find that there is no more, too */
    latch_done(&c->run->callers_left);
}

/* ---- connections ---- */

static void keep_connection(struct fiber *self, void *arg) {
    struct connection *c = arg;
    for (unsigned failures = 0; !c->run->stopping;) {
        int e = rpc_client_open(self, c->run->options.gateway, &c->client);
        failures = e == 0 ? 0 : failures + 1;
        if (e != 0) {
            c->client = NULL;
            fiber_sleep_ms(self, backoff_ms(failures, 20, 1000));
            continue;
        }
        while (!c->run->stopping && rpc_client_alive(c->client)) fiber_sleep_ms(self, 20);
        while (c->users > 0) fiber_sleep_ms(self, 5);
        struct rpc_client *gone = c->client;
        c->client = NULL;
        rpc_client_close(self, gone);
    }
    latch_done(&c->run->callers_left);
}

static bool connect_first(struct fiber *self, struct run *r) {
    int64_t give_up_ns = clock_mono_ns() + CONNECT_S * NS_PER_S;
    for (int64_t i = 0; i < r->options.connections; i++) {
        struct connection *c = &r->connections[i];
        c->run = r;
        if (fiber_spawn(r->loop, NULL, keep_connection, c, NULL) != 0) abort();
    }
    for (int64_t i = 0; i < r->options.connections; i++)
        while (!r->connections[i].client && clock_mono_ns() < give_up_ns) fiber_sleep_ms(self, 5);
    for (int64_t i = 0; i < r->options.connections; i++)
        if (!r->connections[i].client) {
            complain("no gateway answers at %s", r->options.gateway);
            return false;
        }
    return true;
}

/* ---- progress and the report ---- */

static uint64_t succeeded(const struct run *r) {
    uint64_t n = 0;
    for (int k = 0; k < KINDS; k++) n += r->outcomes[k].status[0];
    return n;
}

static void watch(struct fiber *self, struct run *r) {
    int64_t done = 0, next_ns = r->start_ns;
    while (r->callers_left.left > (size_t)r->options.connections) {
        fiber_sleep_ms(self, 100);
        int64_t now = clock_mono_ns();
        if (now < next_ns) continue;
        next_ns = now + NS_PER_S;
        show_progress(true, "%" PRId64 " of %" PRId64 " s: %s calls/s, %s under way, %s failed",
                      (now - r->start_ns) / NS_PER_S, r->options.seconds, with_commas(r->done - done),
                      with_commas(r->under_way), with_commas(r->done - (int64_t)succeeded(r)));
        done = r->done;
    }
    end_progress();
}

static const double SHARES[] = {0.5, 0.9, 0.99, 0.999};
static const char *const SHARE_NAMES[] = {"p50", "p90", "p99", "p99.9"};
#define N_SHARES (sizeof SHARES / sizeof *SHARES)

static uint64_t attempted(const struct outcome *o) {
    uint64_t n = 0;
    for (int s = 0; s < STATUSES; s++) n += o->status[s];
    return n;
}

static void print_table(const struct run *r) {
    double seconds = (double)r->took_ns / (double)NS_PER_S;
    printf("%-6s %10s %10s %9s", "call", "calls", "ok/s", "failed");
    for (size_t i = 0; i < N_SHARES; i++) printf(" %9s", SHARE_NAMES[i]);
    printf(" %9s  (ms, from when each was due)\n", "max");
    for (int k = 0; k < KINDS; k++) {
        const struct outcome *o = &r->outcomes[k];
        uint64_t n = attempted(o);
        if (n == 0) continue;
        printf("%-6s %10" PRIu64 " %10.1f %9" PRIu64, KIND_NAMES[k], n, (double)o->status[0] / seconds,
               n - o->status[0]);
        for (size_t i = 0; i < N_SHARES; i++)
            printf(" %9.2f", (double)latency_percentile(&o->latency, SHARES[i]) / 1000);
        printf(" %9.2f\n", (double)o->latency.max_us / 1000);
    }
    for (int k = 0; k < KINDS; k++)
        for (int s = 1; s < STATUSES; s++)
            if (r->outcomes[k].status[s] > 0)
                printf("%s: %" PRIu64 " %s\n", KIND_NAMES[k], r->outcomes[k].status[s], STATUS_NAMES[s]);
    printf("asked for %" PRId64 " calls/s on %" PRId64 " connections, %.1f succeeded\n", r->options.rate,
           r->options.connections, (double)succeeded(r) / seconds);
}

static void print_json(const struct run *r) {
    double seconds = (double)r->took_ns / (double)NS_PER_S;
    printf("{\"rate\": %" PRId64 ", \"seconds\": %.3f, \"connections\": %" PRId64
           ", \"ok_per_second\": %.3f, \"calls\": {",
           r->options.rate, seconds, r->options.connections, (double)succeeded(r) / seconds);
    const char *comma = "";
    for (int k = 0; k < KINDS; k++) {
        const struct outcome *o = &r->outcomes[k];
        if (attempted(o) == 0) continue;
        printf("%s\"%s\": {\"calls\": %" PRIu64 ", \"ok_per_second\": %.3f, \"latency_ms\": {", comma,
               KIND_NAMES[k], attempted(o), (double)o->status[0] / seconds);
        for (size_t i = 0; i < N_SHARES; i++)
            printf("\"%s\": %.3f, ", SHARE_NAMES[i],
                   (double)latency_percentile(&o->latency, SHARES[i]) / 1000);
        printf("\"max\": %.3f}, \"status\": {", (double)o->latency.max_us / 1000);
        const char *between = "";
        for (int s = 0; s < STATUSES; s++)
            if (o->status[s] > 0) {
                printf("%s\"%s\": %" PRIu64, between, STATUS_NAMES[s], o->status[s]);
                between = ", ";
            }
        printf("}}");
        comma = ", ";
    }
    printf("}}\n");
}

/* ---- the whole ---- */

static void start_timer(struct run *r) {
    r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->timer_fd < 0) abort();
    uv_poll_init(loop_uv(r->loop), &r->timer, r->timer_fd);
    r->timer.data = r;
    uv_poll_start(&r->timer, UV_READABLE, on_timer);
    arm(r, r->start_ns);
}

static void call_all(struct fiber *self, struct run *r) {
    r->start_ns = clock_mono_ns() + 10 * NS_PER_MS;
    latch_init(&r->callers_left, (size_t)(r->options.callers + r->options.connections));
    for (int64_t i = 0; i < r->options.callers; i++)
        if (fiber_spawn(r->loop, NULL, caller, &r->connections[i % r->options.connections], NULL) != 0)
            abort();
    start_timer(r);
    watch(self, r);
    r->took_ns = r->last_ns - r->start_ns;
    uv_close((uv_handle_t *)&r->timer, NULL);
    close(r->timer_fd);
    r->status = succeeded(r) == (uint64_t)r->total ? 0 : 1;
}

static void begin(struct fiber *self, void *arg) {
    struct run *r = arg;
    latch_init(&r->callers_left, (size_t)r->options.connections);
    if (connect_first(self, r)) call_all(self, r);
    r->stopping = true;
    latch_wait(self, &r->callers_left);
}

/* "ID<tab>HANDLE<tab>TOKEN", as `graph` writes it. */
static bool read_line(struct run *r, char *line) {
    char *handle = strchr(line, '\t'), *token = handle ? strchr(handle + 1, '\t') : NULL;
    int64_t id;
    if (!token || !str_to_i64((struct str){line, (size_t)(handle - line)}, &id)) return false;
    token[strcspn(token, "\n")] = '\0';
    if (r->n_accounts % 1024 == 0)
        r->accounts = realloc(r->accounts, (r->n_accounts + 1024) * sizeof *r->accounts);
    if (!r->accounts) abort();
    r->accounts[r->n_accounts++] = (struct account){id, strdup(token + 1)};
    return true;
}

static bool read_tokens(struct run *r) {
    FILE *in = fopen(r->options.tokens_path, "r");
    if (!in) {
        complain("%s cannot be read: scripts/load graph writes it", r->options.tokens_path);
        return false;
    }
    char line[512];
    bool ok = true;
    for (int64_t n = 1; ok && (int64_t)r->n_accounts < r->options.accounts && fgets(line, sizeof line, in);
         n++) {
        ok = read_line(r, line);
        if (!ok)
            complain("%s, line %" PRId64 ": no session (id, handle and token)", r->options.tokens_path, n);
    }
    fclose(in);
    if (ok && r->n_accounts == 0) complain("%s holds no session", r->options.tokens_path);
    return ok && r->n_accounts > 0;
}

static int run_load(const struct run_options *options) {
    static struct run r;
    r.options = *options;
    r.status = 1;
    r.total = options->rate * options->seconds;
    condition_init(&r.due);
    if (!read_tokens(&r)) return 1;
    r.connections = calloc((size_t)options->connections, sizeof *r.connections);
    r.loop = loop_new(NULL);
    if (!r.connections || !r.loop || fiber_spawn(r.loop, NULL, begin, &r, NULL) != 0) abort();
    loop_run(r.loop);
    loop_free(r.loop);
    if (r.took_ns > 0) (options->json ? print_json : print_table)(&r);
    for (size_t i = 0; i < r.n_accounts; i++) free(r.accounts[i].token);
    free(r.accounts);
    free(r.connections);
    return r.status;
}

/* ---- options ---- */

/* "home=60,user=30,post=10" */
static bool parse_mix(const char *text, int64_t mix[static KINDS]) {
    struct str rest = str_from(text);
    int64_t sum = 0;
    memset(mix, 0, KINDS * sizeof *mix);
    while (rest.len > 0) {
        struct str weight = str_cut(&rest, ','), name = str_cut(&weight, '=');
        int kind = 0;
        while (kind < KINDS && !str_eq(name, str_from(KIND_NAMES[kind]))) kind++;
        if (kind == KINDS || !str_to_i64(weight, &mix[kind]) || mix[kind] < 0 || mix[kind] > 1000) {
            sum = 0;
            break;
        }
        sum += mix[kind];
    }
    if (sum > 0) return true;
    complain("--mix must be like home=60,user=30,post=10, not \"%s\"", text);
    return false;
}

static bool take_option(struct run_options *o, const char *name, const char *value) {
    const struct {
        const char *name;
        int64_t *out, lowest, highest;
    } numbers[] = {{"rate", &o->rate, 1, 1000000},
                   {"seconds", &o->seconds, 1, 86400},
                   {"connections", &o->connections, 1, 1000},
                   {"accounts", &o->accounts, 1, 100000000},
                   {"seed", &o->seed, 0, INT64_MAX},
                   {"callers", &o->callers, 1, 50000}};
    if (strcmp(name, "json") == 0) return o->json = true;
    if (strcmp(name, "gateway") == 0) return (o->gateway = value) != NULL;
    if (strcmp(name, "tokens") == 0) return (o->tokens_path = value) != NULL;
    if (strcmp(name, "mix") == 0) return parse_mix(value, o->mix);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        int64_t lowest = numbers[i].lowest, highest = numbers[i].highest;
        if (str_to_i64(str_from(value), numbers[i].out) && *numbers[i].out >= lowest &&
            *numbers[i].out <= highest)
            return true;
        complain("--%s must be a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", name, lowest,
                 highest, value);
    }
    return false;
}

int run_command(int argc, char **argv) {
    static const struct option known[] = {{"json", no_argument, NULL, 0},
                                          {"gateway", required_argument, NULL, 0},
                                          {"tokens", required_argument, NULL, 0},
                                          {"mix", required_argument, NULL, 0},
                                          {"rate", required_argument, NULL, 0},
                                          {"seconds", required_argument, NULL, 0},
                                          {"seed", required_argument, NULL, 0},
                                          {"connections", required_argument, NULL, 0},
                                          {"accounts", required_argument, NULL, 0},
                                          {"callers", required_argument, NULL, 0},
                                          {NULL, 0, NULL, 0}};
    struct run_options o = {.rate = 1000, .seconds = 10, .connections = 8, .accounts = 100000000, .seed = 1};
    o.callers = 2000;
    o.mix[POST] = 1;
    int at;
    for (int c; (c = getopt_long(argc, argv, "", known, &at)) != -1;)
        if (c != 0 || !take_option(&o, known[at].name, optarg)) return 2;
    if (optind < argc) {
        complain("there is no option \"%s\"", argv[optind]);
        return 2;
    }
    if (!o.gateway || !o.tokens_path) {
        complain("run needs --gateway ADDR:PORT and --tokens FILE");
        return 2;
    }
    if (o.callers < o.connections) o.callers = o.connections;
    return run_load(&o);
}
