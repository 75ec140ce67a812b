/* Where to connect to, and with what settings.
 *
 * The URL's own settings come last, so they win over ours. A single host name is looked up on the thread pool
 * before libpq sees it, because libpq's own look-up would block the loop; lists of hosts and names from the
 * environment (PGHOST) are left to libpq.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/store/pg/pg_internal.h"

/* Room left for libpq's own keywords (41 in version 15) beside ours. */
static void set(struct pg_target *t, const char *key, const char *value) {
    assert(t->n + 1 < PG_TARGET_KEYS);
    t->key[t->n] = key;
    t->value[t->n] = value;
    t->n++;
}

static const char *get(const struct pg_target *t, const char *key) {
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->key[i], key) == 0) return t->value[i];
    }
    return NULL;
}

static void set_default(struct pg_target *t, const char *key, const char *value) {
    if (!get(t, key)) set(t, key, value);
}

static void copy_given(struct pg_target *t, struct arena *a, const PQconninfoOption *given) {
    for (const PQconninfoOption *o = given; o->keyword; o++) {
        if (!o->val || strcmp(o->keyword, "options") == 0) continue;
        set(t, arena_strdup(a, o->keyword), arena_strdup(a, o->val));
    }
}

static const char *given_options(const PQconninfoOption *given) {
    for (const PQconninfoOption *o = given; o->keyword; o++) {
        if (o->val && strcmp(o->keyword, "options") == 0) return o->val;
    }
    return "";
}

static bool is_numeric(const char *host) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static const char *name_to_resolve(const struct pg_target *t) {
    const char *host = get(t, "host");
    if (!host || !*host || get(t, "hostaddr")) return NULL;
    if (*host == '/' || *host == '@' || strchr(host, ',') || is_numeric(host)) return NULL;
    return host;
}

bool pg_target_init(struct pg_target *t, struct arena *a, const struct pg_options *o, char *error,
                    size_t size) {
    *t = (struct pg_target){.n = 0};
    char *message = NULL;
    PQconninfoOption *given = PQconninfoParse(o->url, &message);
    if (!given) {
        snprintf(error, size, "%.*s", (int)strcspn(message ? message : "no memory", "\n"),
                 message ? message : "no memory");
        PQfreemem(message);
        return false;
    }
    copy_given(t, a, given);
    int timeout_ms = o->statement_timeout_ms > 0 ? o->statement_timeout_ms : PG_STATEMENT_TIMEOUT_MS;
    set(t, "options",
        arena_printf(a, "-c statement_timeout=%d -c jit=off %s", timeout_ms, given_options(given)));
    PQconninfoFree(given);
    set(t, "client_encoding", "UTF8");
    if (o->application_name) set_default(t, "application_name", arena_strdup(a, o->application_name));
    /* A peer that vanished silently is noticed in about half a minute when idle, in 10 s when a reply is due. */
    set_default(t, "keepalives_idle", "15");
    set_default(t, "keepalives_interval", "5");
    set_default(t, "keepalives_count", "3");
    set_default(t, "tcp_user_timeout", "10000");
    t->resolve = name_to_resolve(t);
    return true;
}

/* One host name with several addresses is, for libpq, the same host several times. */
static const char *repeat_host(struct arena *a, const char *host, const char *addresses) {
    const char *list = host;
    for (const char *p = strchr(addresses, ','); p; p = strchr(p + 1, ',')) {
        list = arena_printf(a, "%s,%s", list, host);
    }
    return list;
}

PGconn *pg_target_connect(const struct pg_target *t, const char *addresses) {
    if (!t->resolve) return PQconnectStartParams(t->key, t->value, 0);
    struct pg_target resolved = *t;
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < resolved.n; i++) {
        if (strcmp(resolved.key[i], "host") == 0) {
            resolved.value[i] = repeat_host(&a, t->resolve, addresses);
        }
    }
    set(&resolved, "hostaddr", addresses);
    PGconn *conn = PQconnectStartParams(resolved.key, resolved.value, 0);
    arena_free(&a);
    return conn;
}
