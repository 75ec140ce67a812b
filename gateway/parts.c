/* The parts of a gateway: their beginning and end. */
#include "gateway/parts.h"

#include <stddef.h>
#include <stdlib.h>

#include "gateway/cache/account.h"
#include "gateway/cache/post.h"
#include "gateway/cache/session.h"
#include "gateway/cache/viewer.h"
#include "gateway/home/impressions.h"
#include "gateway/home/pulled.h"
#include "gateway/home/tail.h"
#include "gateway/hub/hub.h"
#include "gateway/limit/limit.h"
#include "gateway/limit/password.h"
#include "gateway/live/live.h"
#include "gateway/service/job/job.h"

static void forget_all(struct domain *d) {
    hub_forget(list_entry(d, struct gateway, domain)->hub);
}

void gateway_open(struct gateway *g) {
    struct metrics *m = g->domain.metrics;
    const char *help = "Home timeline reads by how deep they had to go";
    g->timeline_hits = metrics_counter(m, "rookery_timeline_reads_total", help, "from=\"tail\"");
    g->timeline_deep = metrics_counter(m, "rookery_timeline_reads_total", help, "from=\"deep\"");
    g->timeline_sql = metrics_counter(m, "rookery_timeline_reads_total", help, "from=\"sql\"");
    g->timeline_rebuilds =
        metrics_counter(m, "rookery_timeline_rebuilds_total", "Home timelines rebuilt from SQL", "");
    g->hub = hub_new(&g->domain);
    if (!g->hub) abort();
    /* Caches, which an event invalidates, listen before the parts that tell clients of it. */
    g->posts = post_cache_new(g);
    g->accounts = account_cache_new(g);
    g->sessions = session_cache_new(g);
    g->viewers = viewer_cache_new(g);
    g->tails = home_tails_new(g);
    g->pulled = pulled_new(g);
    g->job_watch = job_watch_new(g);
    g->impressions = impressions_new(g);
    g->live = live_new(g);
    g->limits = limits_new(g);
    g->passwords = passwords_new(g);
    if (!g->tails || !g->pulled || !g->accounts || !g->sessions || !g->viewers || !g->posts ||
        !g->job_watch || !g->impressions || !g->limits || !g->passwords)
        abort();
    g->domain.on_new_epoch = forget_all;
    live_start(g->live);
    hub_start(g->hub);
}

void gateway_close(struct fiber *self, struct gateway *g) {
    g->domain.on_new_epoch = NULL;
    hub_stop(self, g->hub);
    passwords_free(g->passwords);
    limits_free(self, g->limits);
    live_free(self, g->live);
    job_watch_stop(self, g->job_watch);
    impressions_stop(self, g->impressions);
    post_cache_free(self, g->posts);
    home_tails_free(self, g->tails);
    viewer_cache_free(g->viewers);
    account_cache_free(g->accounts);
    session_cache_free(g->sessions);
    pulled_free(g->pulled);
    hub_free(g->hub);
}
