/* The domain: the rules of accounts, graph, posts and timelines, independent of transport.
 *
 * Start reading here. Every operation is a function that takes the calling fiber and this context, runs one
 * transaction (domain functions own all SQL), and, where others must hear of the change, writes an outbox row in it
 * and publishes the event after the commit (core/event/outbox.h).
 *
 * Words: an *entry* is a post or a repost, by id. A *viewer* is the account that looks. *Relations* are the accounts
 * that a viewer follows, mutes, has blocked or is blocked by.
 */
#ifndef ROOKERY_CORE_DOMAIN_DOMAIN_H
#define ROOKERY_CORE_DOMAIN_DOMAIN_H

#include "core/async/loop.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/config/config.h"
#include "core/store/pg/batcher.h"
#include "core/store/pg/lease.h"
#include "core/store/pg/pg.h"
#include "core/store/redis/redis.h"

struct outbox;
struct epoch_watch;

struct domain {
    struct loop *loop;
    const struct config *config;
    struct log *log;
    struct metrics *metrics;
    struct pg *pg;
    struct redis *redis;
    struct lease *lease;
    struct outbox *outbox;
    struct pg_batcher *create_posts;
    struct epoch_watch *epoch_watch;
    /* With which new sessions' tokens are marked (core/id/token.h); NULL: they are not. */
    const unsigned char *token_key;
    int64_t epoch; /* last known; use epoch_now() (core/event/epoch.h) */
    /* NULL, or called when another epoch than the last is adopted: discards caches. */
    void (*on_new_epoch)(struct domain *d);
};

/* The time that ids and the database have, Unix ms (core/store/pg/lease.h). */
int64_t domain_now_ms(const struct domain *d);

/* Makes a new id. Returns 0, or ERR_UNAVAILABLE when this process holds no node lease. */
int domain_next_id(struct domain *d, int64_t *id, struct fault *fault);

/* Sends the batch on the shared connection and waits. Takes b. Returns 0 when every command succeeded. */
int domain_send(struct fiber *self, struct domain *d, struct redis_batch *b);

#endif
