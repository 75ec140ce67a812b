/* Setting the flag of pulled authors; what it means is in pull.h. */
#include "core/domain/timeline/pull.h"

#include "core/event/outbox.h"

static const struct pg_stmt PULL = {
    .name = "pull_author",
    .sql = "WITH flag AS (UPDATE account_stats SET pulled = true WHERE account_id = $1 AND NOT pulled "
           "RETURNING 1),"
           " out AS (INSERT INTO outbox (id, partition, payload) SELECT $2, $3, $4"
           "         WHERE EXISTS (SELECT FROM flag))"
           " SELECT EXISTS (SELECT FROM flag)",
};

int pull_author(struct fiber *self, struct domain *d, int64_t author_id, struct fault *fault) {
    Rookery__Events__V1__AccountChanged nothing = ROOKERY__EVENTS__V1__ACCOUNT_CHANGED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    event.actor_id = author_id;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_AUTHOR_PULLED;
    event.author_pulled = &nothing;
    struct event_record record = event_encode(fiber_arena(self), &event, d->config->partitions);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, author_id);
    outbox_args(&args, &record);
    struct pg_result *r;
    e = pg_exec(self, d->pg, &PULL, &args, &r, fault);
    if (e != 0 || !pg_get_bool(r, 0, 0)) return e;
    log_info(d->log, "author switched to merge at read time", LOG_I("account_id", author_id));
    outbox_publish(self, d, &record, 1);
    return 0;
}
