/* Sets the flag of pulled authors; pull.h says what it means. */
#include "core/domain/timeline/pull.h"

#include "core/domain/timeline/pull.sql.h"
#include "core/event/outbox.h"

int pull_author(struct fiber *self, struct domain *d, int64_t author_id, struct fault *fault) {
    Rookery__Events__V1__AccountChanged nothing = ROOKERY__EVENTS__V1__ACCOUNT_CHANGED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    event.actor_id = author_id;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_AUTHOR_PULLED;
    event.author_pulled = &nothing;
    struct event_record record = event_encode(fiber_arena(self), &event, d->config->partitions);
    struct pg_result *r;
    e = pg_ask(self, d->pg, &PULL_AUTHOR, &r, fault, pg_i64(author_id), OUTBOX_ROW(&record));
    if (e != 0 || !pg_only_bool(r)) return e;
    log_info(d->log, "author switched to merge at read time", LOG_I("account_id", author_id));
    outbox_publish(self, d, &record, 1);
    return 0;
}
