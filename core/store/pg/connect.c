/* Connections to PostgreSQL: connecting and reconnecting, on libuv's loop.
 *
 * The story of a link:
 *   1. pg_link_start: a host name, if there is one, is looked up on the thread pool.
 *   2. PQconnectPoll is called whenever the socket is ready for it. libpq may close its socket and open another
 *      (often with the same number) between two calls, so the watch on the socket ends before each call and starts
 *      again after it.
 *   3. The server is checked, and refused when it cannot be used (check.h).
 *   4. Ready: non-blocking, in pipeline mode, always watched for reading, for writing while something is
 *      unsent.
 *
 * Failures, each ending in pg_link_fail: the look-up, the connection, the login or the check fails, or they take 5 s
 * together | the socket ends or reports an error | the pipeline reports one. Every op in flight is answered. After a
 * backoff with jitter, the link starts again at 1.
 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/pg/check.h"
#include "core/store/pg/pg_internal.h"

static void ignore_notice(void *arg, const char *message) {
    const struct pg_link *k = arg;
    log_debug(k->pg->log, "database notice", LOG_STR("text", str_trim(str_from(message))));
}

static void become_ready(struct pg_link *k) {
    if (PQenterPipelineMode(k->conn) != 1) {
        pg_link_fail(k, PQerrorMessage(k->conn));
        return;
    }
    if (!pg_link_watch(k, UV_READABLE)) {
        pg_link_fail(k, "the socket cannot be watched");
        return;
    }
    uv_timer_stop(&k->timer);
    pg_link_enter(k, LINK_READY);
    k->step = pg_link_step;
    k->attempt = 0;
    if (k->was_ready) k->pg->m.reconnects->value++;
    k->was_ready = true;
    k->pg->refusal = NULL;
    pg_link_became_ready(k->pg);
}

/* The server is refused, and will be again at each attempt. */
static void refuse(struct pg_link *k, const char *sentence) {
    k->pg->refusal = sentence;
    pg_link_fail(k, sentence);
    condition_broadcast(&k->pg->ready_changed);
}

/* Writes the rest of the question. Returns false when the connection failed. */
static bool flush_check(struct pg_link *k) {
    int left = PQflush(k->conn);
    bool good = left >= 0 && pg_link_watch(k, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
    if (!good) pg_link_fail(k, PQerrorMessage(k->conn));
    return good;
}

static void begin_check(struct pg_link *k) {
    pg_link_enter(k, LINK_CHECKING);
    k->asked_ms = clock_wall_ms();
    k->checked = false;
    if (PQsetnonblocking(k->conn, 1) != 0 || PQsendQuery(k->conn, PG_CHECK.sql) != 1)
        pg_link_fail(k, PQerrorMessage(k->conn));
    else
        flush_check(k);
}

static void take_check(struct pg_link *k, PGresult *r) {
    struct pg_facts facts;
    k->checked = pg_facts_read(&facts, k->conn, r, k->asked_ms);
    if (k->checked) k->unusable = pg_check(&facts, &k->pg->logged, k->pg->log);
    PQclear(r);
}

static void step_check(struct pg_link *k) {
    if (!flush_check(k)) return;
    if (PQconsumeInput(k->conn) != 1) {
        pg_link_fail(k, PQerrorMessage(k->conn));
        return;
    }
    while (!PQisBusy(k->conn)) {
        PGresult *r = PQgetResult(k->conn);
        if (r) {
            take_check(k, r);
            continue;
        }
        if (!k->checked)
            pg_link_fail(k, PQerrorMessage(k->conn));
        else if (k->unusable)
            refuse(k, k->unusable);
        else
            become_ready(k);
        return;
    }
}

static void step_connect(struct pg_link *k) {
    pg_link_unwatch(k);
    PostgresPollingStatusType status = PQconnectPoll(k->conn);
    if (status == PGRES_POLLING_OK) {
        begin_check(k);
        return;
    }
    if (status == PGRES_POLLING_FAILED) {
        pg_shortage_note_connect(k->pg, PQerrorMessage(k->conn));
        pg_link_fail(k, PQerrorMessage(k->conn));
        return;
    }
    int events = status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE;
    if (!pg_link_watch(k, events)) pg_link_fail(k, "the socket cannot be watched");
}

static void step(struct pg_link *k, int status, int events) {
    (void)status, (void)events;
    if (k->state == LINK_CONNECTING)
        step_connect(k);
    else
        step_check(k);
}

static void begin_connect(struct pg_link *k, const char *addresses) {
    pg_link_enter(k, LINK_CONNECTING);
    k->conn = pg_target_connect(&k->pg->target, addresses);
    if (!k->conn || PQstatus(k->conn) == CONNECTION_BAD) {
        const char *why = k->conn ? PQerrorMessage(k->conn) : "no memory for a connection";
        pg_shortage_note_connect(k->pg, why);
        pg_link_fail(k, why);
        return;
    }
    PQsetNoticeProcessor(k->conn, ignore_notice, k);
    PQsetErrorVerbosity(k->conn,
                        PQERRORS_VERBOSE); /* with the SQLSTATE, which libpq gives in no other way here */
    /* The first step is as if PQconnectPoll had asked for writing. */
    if (!pg_link_watch(k, UV_WRITABLE)) pg_link_fail(k, "the socket cannot be watched");
}

/* At most 8 addresses, numeric, separated by commas. */
static size_t join_addresses(const struct addrinfo *list, char *out, size_t size) {
    size_t len = 0, n = 0;
    for (const struct addrinfo *a = list; a && n < 8; a = a->ai_next) {
        char host[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0) continue;
        if (len + strlen(host) + 2 > size) break;
        if (n++ > 0) out[len++] = ',';
        memcpy(out + len, host, strlen(host) + 1);
        len += strlen(host);
    }
    return n;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    struct pg_resolve *r = request->data;
    struct pg_link *k = r->link;
    char addresses[512];
    size_t n = status == 0 ? join_addresses(list, addresses, sizeof addresses) : 0;
    uv_freeaddrinfo(list);
    pg_handle_gone(r->pg);
    free(r);
    if (!k) return;
    k->resolve = NULL;
    if (n > 0) {
        begin_connect(k, addresses);
    } else {
        pg_link_fail(k, status < 0 ? uv_strerror(status) : "the host has no address");
    }
}

static void begin_resolve(struct pg_link *k) {
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    pg_link_enter(k, LINK_RESOLVING);
    struct pg_resolve *r = calloc(1, sizeof *r);
    if (!r || uv_getaddrinfo(loop_uv(k->pg->loop), &r->request, on_resolved, k->pg->target.resolve, NULL,
                             &hints) != 0) {
        free(r);
        pg_link_fail(k, "the host name cannot be looked up");
        return;
    }
    r->request.data = r;
    r->pg = k->pg;
    r->link = k;
    k->resolve = r;
    k->pg->handles++;
}

static void on_connect_timeout(uv_timer_t *t) {
    pg_link_fail(t->data, "connecting took too long");
}

void pg_link_start(struct pg_link *k) {
    uv_timer_start(&k->timer, on_connect_timeout, PG_CONNECT_TIMEOUT_MS, 0);
    k->step = step;
    if (k->pg->target.resolve) {
        begin_resolve(k);
    } else {
        begin_connect(k, NULL);
    }
}

static void on_backoff(uv_timer_t *t) {
    pg_link_start(t->data);
}

void pg_link_init(struct pg_link *k, struct pg *pg) {
    *k = (struct pg_link){.pg = pg, .state = LINK_WAITING, .restart = on_backoff};
    uv_timer_init(loop_uv(pg->loop), &k->timer);
    k->timer.data = k;
    pg->handles++;
    idmap_init(&k->statements);
    list_init(&k->prepared);
    list_init(&k->preparing);
    list_init(&k->in_flight);
}
