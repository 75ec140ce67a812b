/* Bytes of requests that the server holds: whose they are, and who gives way when they are too many.
 *
 * Every request is counted in shares. One whose sender is not known: in those of its connection, of its network (and
 * of the /48 around an IPv6 one, which is ten times as large), and of all such requests. One of an account: in the
 * account's, and in that of all accounts. So strangers cannot take what accounts need, nor one account another's.
 *
 * When a share is full the oldest incomplete request in it gives way, never the newest: an honest request is complete
 * within a few round trips, while one that holds memory has to grow old.
 */
#ifndef ROOKERY_CORE_RPC_BUDGET_H
#define ROOKERY_CORE_RPC_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/map.h"

/* In bytes; 0: no limit. */
struct budget_limits {
    size_t connection, network, anonymous; /* of requests whose sender is not known */
    size_t account, accounts;
};

enum { BUDGET_OWNER, BUDGET_ALL, BUDGET_NETWORK, BUDGET_AROUND, BUDGET_SHARES };

struct budget_share {
    size_t bytes, limit, n_requests;
    struct list_node incomplete; /* oldest first */
    int64_t key;
    struct idmap *map; /* that it is in; NULL: of all */
    struct budget_idle *idle;
};

/* Shares that count nothing now, the oldest first, linked by `incomplete`: most calls are alone in theirs, and who
 * calls will call again. */
struct budget_idle {
    struct list_node shares;
    size_t n;
};

struct budget_request {
    struct budget_share *shares[BUDGET_SHARES]; /* NULL: not counted there */
    struct list_node nodes[BUDGET_SHARES];      /* linked while it is incomplete */
    size_t bytes;
    bool is_open;
};

struct budgets {
    struct budget_limits limits;
    struct idmap connections, networks,
        accounts; /* -> struct budget_share: there while it counts a request, or is idle */
    struct budget_share anonymous, known;
    struct budget_idle idle;
    uint64_t evicted, evicted_told; /* requests that gave way */
    int64_t told_ns;
    /* Ends the request, and calls budget_close for it. */
    void (*evict)(struct budget_request *r);
};

void budget_init(struct budgets *b, const struct budget_limits *limits,
                 void (*evict)(struct budget_request *r));
void budget_free(struct budgets *b); /* after the last request was closed */

/* A request begins, of somebody unknown on this connection (any number that tells it apart) from this network, or of an
 * account. */
void budget_open_anonymous(struct budgets *b, struct budget_request *r, uintptr_t connection,
                           uint64_t network);
void budget_open_known(struct budgets *b, struct budget_request *r, int64_t account_id);
/* Its sender has become known: it is counted for the account from now on. */
void budget_known(struct budgets *b, struct budget_request *r, int64_t account_id);
/* Counts n more bytes, for which others give way. Returns false, and counts nothing, when there is no other that can:
 * the request itself is too much. */
bool budget_add(struct budgets *b, struct budget_request *r, size_t n);
void budget_take(struct budget_request *r, size_t n);
/* It has arrived whole: it does not give way any more. */
void budget_complete(struct budget_request *r);
void budget_close(struct budget_request *r); /* harmless when it is not open */
/* All bytes that are counted. */
size_t budget_bytes(const struct budgets *b);

#endif
