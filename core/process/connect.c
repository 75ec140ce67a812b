/* Connecting; starting and stopping the domain's fibers. */
#include "core/process/connect.h"

#include "core/domain/post/post.h"
#include "core/event/epoch.h"
#include "core/event/outbox.h"

int domain_start(struct fiber *self, struct domain *d, struct fault *fault) {
    int e = lease_start(self, d->pg, d->log, &d->lease);
    if (e != 0)
        return fault_set(fault, e, "no node number could be leased: is DATABASE_URL right and migrated?");
    e = outbox_open(d, &d->outbox);
    if (e == 0) epoch_watch_start(d);
    d->create_posts = pg_batcher_new(d->loop, d->pg, &POST_CREATE_BATCH, d->metrics);
    if (e == 0 && d->create_posts) return 0;
    domain_stop(self, d);
    return fault_set(fault, ERR_OVERLOADED, "not enough memory to start");
}

/* In the order of use: nothing publishes after the outbox has closed. */
void domain_stop(struct fiber *self, struct domain *d) {
    if (d->create_posts) pg_batcher_close(self, d->create_posts);
    d->create_posts = NULL;
    epoch_watch_stop(self, d);
    outbox_close(self, d->outbox);
    d->outbox = NULL;
    if (d->lease) lease_stop(self, d->lease);
    d->lease = NULL;
}

int domain_connect(struct fiber *self, struct domain *d, const char *application, struct fault *fault) {
    struct pg_options pg = {
        .url = d->config->database_url,
        .connections = (int)d->config->db_connections,
        .pipeline = (int)d->config->db_pipeline,
        .application_name = application,
    };
    d->pg = pg_open(d->loop, &pg, d->log, d->metrics);
    d->redis = redis_open(d->loop, d->config->redis_url, application, d->log, d->metrics);
    if (!d->pg) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    if (!d->redis)
        return fault_set(fault, ERR_INVALID_ARGUMENT, "REDIS_URL must be redis://HOST:PORT or unix:///PATH");
    int e = pg_wait_ready(self, d->pg);
    if (pg_refusal(d->pg)) return fault_set(fault, ERR_FAILED_PRECONDITION, "%s", pg_refusal(d->pg));
    if (e != 0) return fault_set(fault, e, "PostgreSQL cannot be reached: is DATABASE_URL right?");
    e = redis_wait_attempt(self, d->redis);
    if (redis_refusal(d->redis))
        return fault_set(fault, ERR_FAILED_PRECONDITION, "%s", redis_refusal(d->redis));
    if (e != 0) return fault_set(fault, e, "the wait for Redis was interrupted");
    return domain_start(self, d, fault);
}

void domain_disconnect(struct fiber *self, struct domain *d) {
    domain_stop(self, d);
    if (d->redis) redis_close(self, d->redis);
    if (d->pg) pg_close(self, d->pg, d->config->drain_ms);
}
