/* Connections by network and account: see peers.h.
 *
 * One connection: accepted -> joins its network, the /48 around it, and all anonymous ones -> each time that bytes
 * come it moves to the end of these groups -> a call on it is authenticated: it leaves them and joins its account's
 * -> closed: it leaves, and a group without connections is freed.
 *
 * A group is full -> its idlest connection is closed; one that waits for our answer (a password is being checked), or
 * whose request is still in the socket, is passed over where another can be found near. A network that opens
 * connections faster than it uses them up may have eight times as many in their first second, so that its honest
 * clients have the time of some round trips. The server is full -> the idlest anonymous connection gives way,
 * whatever its network; when there is none, the idlest of an account that has many. No account's last ACCOUNT_KEEPS
 * give way so; only when nobody has more is the newcomer refused.
 *
 * Assumptions. The tables stay small: a group exists only while it counts a connection, so there are at most two a
 * connection, which http_server.max_conns bounds. A choice costs little: it looks at most at LOOK_AT connections and
 * LOOK_INTO streams of each. A connection of an account cannot be taken by strangers: it is in no group with them.
 */
#include "core/http/peers.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/http/conn.h"
#include "core/http/network.h"

enum {
    LOOK_AT = 64,      /* connections, for one that does not wait for us */
    LOOK_INTO = 16,    /* streams of one of them */
    AROUND_TIMES = 10, /* the limit of a /48, in those of a /64 */
    YOUNG_TIMES = 8,   /* the limit of a network that opens connections quickly */
    ACCOUNT_KEEPS = 4  /* connections, when the server is full */
};
#define YOUNG_NS NS_PER_S
#define CROWD_NS NS_PER_S
#define MOVE_EVERY_NS (20 * NS_PER_MS)
#define TELL_EVERY_NS (60 * NS_PER_S)

/* ---- groups -------------------------------------------------------------------------------------------- */

static struct peer_group *group_of(struct idmap *map, int64_t key) {
    struct peer_group *g = idmap_get(map, key);
    if (g) return g;
    g = calloc(1, sizeof *g);
    if (!g) abort();
    list_init(&g->conns);
    g->key = key;
    g->map = map;
    idmap_put(map, key, g);
    return g;
}

static void enter(struct http_conn *c, int which, struct peer_group *g) {
    assert(!c->place.groups[which]);
    c->place.groups[which] = g;
    list_push_back(&g->conns, &c->place.nodes[which]);
    g->n++;
}

static void leave(struct http_conn *c, int which) {
    struct peer_group *g = c->place.groups[which];
    if (!g) return;
    list_remove(&c->place.nodes[which]);
    c->place.groups[which] = NULL;
    assert(g->n > 0);
    if (--g->n > 0 || !g->map) return;
    idmap_remove(g->map, g->key);
    free(g);
}

void peers_leave(struct http_conn *c) {
    for (int i = 0; i < PEER_GROUPS; i++) leave(c, i);
}

/* ---- who gives way ------------------------------------------------------------------------------------- */

static bool waits_for_us(const struct http_conn *c) {
    int looked = 0;
    list_each (&c->streams, n) {
        const struct http_stream *s = list_entry(n, struct http_stream, node);
        if (s->request_ended && !s->responded) return true;
        if (++looked == LOOK_INTO) break;
    }
    return false;
}

static struct http_conn *conn_at(struct list_node *node, int which) {
    return list_entry(node - which, struct peer_place, nodes)->conn;
}

/* The idlest of the group but for one; NULL when there is no other. */
static struct http_conn *idlest(const struct peer_group *g, int which, const struct http_conn *but) {
    struct http_conn *first = NULL;
    int looked = 0;
    list_each (&g->conns, n) {
        struct http_conn *c = conn_at(n, which);
        if (c == but) continue;
        if (!waits_for_us(c) && !socket_has_unread(&c->socket)) return c;
        if (!first) first = c;
        if (++looked == LOOK_AT) break;
    }
    return first;
}

static bool is_young(const struct http_conn *c) {
    return loop_now_ns(c->server->loop) - c->opened_ns < YOUNG_NS;
}

/* Closes one of the group but c. */
static bool give_way(struct peer_group *g, int which, const struct http_conn *c, size_t *count,
                     const char *reason) {
    struct http_conn *other = idlest(g, which, c);
    if (!other) return false;
    ++*count;
    other->server->peers.close(other, reason);
    return true;
}

static void bound(struct http_conn *c, int which, size_t most, size_t *count, const char *reason) {
    struct peer_group *g = c->place.groups[which];
    while (g && most > 0 && g->n > most && give_way(g, which, c, count, reason)) continue;
}

/* The same for the anonymous ones of a network: there may be more of them while they are young. */
static void bound_network(struct http_conn *c, int which, size_t most, const struct http_conn *but) {
    struct peers *p = &c->server->peers;
    const struct peer_group *g = c->place.groups[which];
    while (g && most > 0 && g->n > most) {
        struct http_conn *other = idlest(g, which, but);
        if (!other || (is_young(other) && g->n <= YOUNG_TIMES * most)) return;
        p->report.network++;
        p->close(other, "anonymous_network");
    }
}

static void bound_networks(struct http_conn *c, const struct http_conn *but) {
    size_t most = c->server->peers.limits.per_network;
    bound_network(c, PEER_OWNER, most, but);
    bound_network(c, PEER_AROUND, AROUND_TIMES * most, but);
}

/* ---- the life of a connection -------------------------------------------------------------------------- */

void peers_enter(struct http_conn *c) {
    struct peers *p = &c->server->peers;
    uint64_t around;
    if (c->network != 0) enter(c, PEER_OWNER, group_of(&p->networks, (int64_t)c->network));
    if (c->network != 0 && network_around(c->network, &around))
        enter(c, PEER_AROUND, group_of(&p->networks, (int64_t)around));
    enter(c, PEER_ALL, &p->anonymous);
    bound_networks(c, c);
    bound(c, PEER_ALL, p->limits.anonymous, &p->report.anonymous, "anonymous");
}

/* The account with the most connections. Looking for it goes through all, so it counts as that for a second, or until
 * it has half as many. */
static struct peer_group *crowd(struct peers *p, int64_t now_ns) {
    struct peer_group *most = now_ns < p->crowd_ns ? idmap_get(&p->accounts, p->crowd) : NULL;
    if (most && most->n >= p->crowd_least) return most;
    size_t at = 0;
    int64_t id;
    void *value;
    for (most = NULL; idmap_next(&p->accounts, &at, &id, &value);)
        if (!most || ((struct peer_group *)value)->n > most->n) most = value;
    p->crowd_ns = now_ns + CROWD_NS;
    p->crowd = most ? most->key : 0;
    p->crowd_least = most ? (most->n + 1) / 2 : 0;
    return most;
}

static bool crowd_gives_way(struct peers *p, const struct http_conn *c) {
    struct peer_group *most = crowd(p, loop_now_ns(c->server->loop));
    return most && most->n > ACCOUNT_KEEPS && give_way(most, PEER_OWNER, c, &p->report.full, "account");
}

bool peers_join(struct http_conn *c) {
    struct peers *p = &c->server->peers;
    c->place.moved_ns = loop_now_ns(c->server->loop);
    if (!c->is_proxied) peers_enter(c);
    if (c->server->n_open <= c->server->max_conns) return true;
    if (give_way(&p->anonymous, PEER_ALL, c, &p->report.full, "anonymous") || crowd_gives_way(p, c))
        return true;
    p->report.full++;
    return false;
}

void peers_active(struct http_conn *c) {
    int64_t now = loop_now_ns(c->server->loop);
    if (now - c->place.moved_ns < MOVE_EVERY_NS) return;
    c->place.moved_ns = now;
    for (int i = 0; i < PEER_GROUPS; i++) {
        if (!c->place.groups[i]) continue;
        list_remove(&c->place.nodes[i]);
        list_push_back(&c->place.groups[i]->conns, &c->place.nodes[i]);
    }
}

void peers_known(struct http_conn *c, int64_t account_id) {
    struct peers *p = &c->server->peers;
    if (c->place.is_known || c->closed || c->is_proxied) return;
    peers_leave(c);
    c->place.is_known = true;
    enter(c, PEER_OWNER, group_of(&p->accounts, account_id));
    bound(c, PEER_OWNER, p->limits.per_account, &p->report.account, "account");
}

int64_t peers_idle_ns(const struct http_conn *c, int64_t known_idle_ns) {
    int64_t ms = c->server->peers.limits.anonymous_idle_ms;
    bool is_short = !c->place.is_known && !c->is_proxied && ms > 0 && ms * NS_PER_MS < known_idle_ns;
    return is_short ? ms * NS_PER_MS : known_idle_ns;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

void peers_init(struct peers *p, const struct peer_limits *limits,
                void (*close)(struct http_conn *c, const char *reason)) {
    *p = (struct peers){.limits = *limits, .close = close};
    idmap_init(&p->networks);
    idmap_init(&p->accounts);
    list_init(&p->anonymous.conns);
}

void peers_free(struct peers *p) {
    assert(p->networks.len == 0 && p->accounts.len == 0 && p->anonymous.n == 0);
    idmap_free(&p->networks);
    idmap_free(&p->accounts);
}

void peers_sweep_conn(struct http_conn *c) {
    if (!c->place.is_known) bound_networks(c, NULL);
}

void peers_sweep(struct http_server *s, int64_t now_ns) {
    struct peer_report *r = &s->peers.report;
    if (r->network + r->anonymous + r->account + r->full == 0 || now_ns - r->told_ns < TELL_EVERY_NS) return;
    log_warn(s->log, "connections gave way to newer ones", LOG_I("of_a_network", r->network),
             LOG_I("anonymous", r->anonymous), LOG_I("of_an_account", r->account),
             LOG_I("server_full", r->full), LOG_I("open", s->n_conns));
    *r = (struct peer_report){.told_ns = now_ns};
}
