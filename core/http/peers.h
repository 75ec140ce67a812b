/* Who is connected: how many connections a network, an account and all strangers may hold.
 *
 * A connection is *anonymous* until a call on it has been authenticated (peers_known); until then it counts for the
 * network that it comes from (core/http/network.h; an IPv6 one counts for its /48 as well), and for all anonymous
 * ones. From then on it counts for the account, so that what a neighbour in the same network does cannot take it away.
 *
 * A full group does not refuse the newest connection: the one in it that has been idle longest gives way, so that an
 * attacker takes connections from itself. An honest newcomer has the time until it is the idlest: a round trip is
 * enough, since it sends its call immediately. When accounts alone have filled the server, one of those that hold the
 * most gives way, so that several accounts together cannot shut it.
 */
#ifndef ROOKERY_CORE_HTTP_PEERS_H
#define ROOKERY_CORE_HTTP_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/map.h"

struct http_conn;
struct http_server;

/* 0: no limit. */
struct peer_limits {
    size_t per_network; /* anonymous connections older than a second; ten times as many of an IPv6 /48 */
    size_t anonymous;   /* in all */
    size_t per_account;
    int64_t anonymous_idle_ms; /* without a request */
};

/* The connections that are counted together, idlest first. */
struct peer_group {
    struct list_node conns;
    size_t n;
    int64_t key;
    struct idmap *map; /* that it is in; NULL: all anonymous ones */
};

enum { PEER_OWNER, PEER_AROUND, PEER_ALL, PEER_GROUPS };

/* A connection's places in the groups that count it. */
struct peer_place {
    struct peer_group *groups[PEER_GROUPS]; /* NULL: not counted there */
    struct list_node nodes[PEER_GROUPS];
    struct http_conn *conn;
    int64_t moved_ns;
    bool is_known; /* counts for an account */
};

/* Connections that gave way or were refused since the last line in the log, by the limit that was reached. */
struct peer_report {
    size_t network, anonymous, account, full;
    int64_t told_ns;
};

struct peers {
    struct peer_limits limits;
    struct idmap networks, accounts; /* -> struct peer_group: there while it counts a connection */
    struct peer_group anonymous;
    int64_t crowd;      /* the account that had the most connections when that was looked for, */
    int64_t crowd_ns;   /* until then, */
    size_t crowd_least; /* as long as it has so many */
    struct peer_report report;
    void (*close)(struct http_conn *c, const char *reason); /* leaves */
};

/* close is conn_close, which is built on this. */
void peers_init(struct peers *p, const struct peer_limits *limits,
                void (*close)(struct http_conn *c, const char *reason));
void peers_free(struct peers *p);

/* A new connection, whose network is known. Closes those that give way to it. Returns false when the server is full
 * of connections that do not give way (a proxy's, and the few of each account); the caller closes it. A proxy's is many
 * clients', and counts nowhere. */
bool peers_join(struct http_conn *c);
/* It is one client's after all. */
void peers_enter(struct http_conn *c);
void peers_leave(struct http_conn *c); /* harmless when it is counted nowhere */
/* Bytes came from the peer. */
void peers_active(struct http_conn *c);
/* A call of this account was authenticated on the connection. It counts for the first that was. */
void peers_known(struct http_conn *c, int64_t account_id);
/* How long the connection may be without a request. */
int64_t peers_idle_ns(const struct http_conn *c, int64_t known_idle_ns);
/* Once a second: its network may have more than it may when they are not young any more. */
void peers_sweep_conn(struct http_conn *c);
/* Once a second: a line in the log a minute when limits were reached. */
void peers_sweep(struct http_server *s, int64_t now_ns);

#endif
