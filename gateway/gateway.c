/* What the parts of a gateway share: beginning, end, and forgetting. */
#include "gateway/gateway.h"

#include <stddef.h>
#include <stdlib.h>

#include "gateway/cache/account.h"
#include "gateway/cache/post.h"
#include "gateway/cache/viewer.h"
#include "gateway/home/impressions.h"
#include "gateway/home/pulled.h"
#include "gateway/home/tail.h"
#include "gateway/hub/hub.h"
#include "gateway/live/live.h"
#include "gateway/service/auth.h"
#include "gateway/service/job/job.h"

void gateway_forget(struct gateway *g) {
    post_cache_invalidate_all(g->posts);
    account_cache_invalidate_all(g->accounts);
    viewer_cache_clear(g->viewers);
    session_cache_clear(g->sessions);
    pulled_clear(g->pulled);
    live_reset_all(hub_live(g->hub));
}

static void forget_all(struct domain *d) {
    gateway_forget((struct gateway *)(void *)((char *)d - offsetof(struct gateway, domain)));
}

void gateway_open(struct gateway *g) {
    struct metrics *m = g->domain.metrics;
    const char *help = "Home timeline reads by how deep they had to go";
    g->timeline_hits = metrics_counter(m, "rookery_timeline_reads_total", help, "from=\"tail\"");
    g->timeline_deep = metrics_counter(m, "rookery_timeline_reads_total", help, "from=\"deep\"");
    g->timeline_sql = metrics_counter(m, "rookery_timeline_reads_total", help, "from=\"sql\"");
    g->timeline_rebuilds = metrics_counter(m, "rookery_timeline_rebuilds_total", "Lists built from SQL", "");
    g->tails = home_tails_new(g);
    g->pulled = pulled_new(g);
    g->accounts = account_cache_new(g);
    g->sessions = session_cache_new(g);
    g->viewers = viewer_cache_new(g);
    g->posts = post_cache_new(g);
    g->job_watch = job_watch_new(g);
    g->impressions = impressions_new(g);
    g->hub = hub_new(g);
    if (!g->tails || !g->pulled || !g->accounts || !g->sessions || !g->viewers || !g->posts ||
        !g->job_watch || !g->impressions || !g->hub)
        abort();
    g->domain.on_new_epoch = forget_all;
    hub_start(g->hub);
}

void gateway_close(struct fiber *self, struct gateway *g) {
    g->domain.on_new_epoch = NULL;
    hub_stop(self, g->hub);
    job_watch_stop(self, g->job_watch);
    impressions_stop(self, g->impressions);
    post_cache_free(self, g->posts);
    home_tails_free(self, g->tails);
    viewer_cache_free(g->viewers);
    account_cache_free(g->accounts);
    session_cache_free(g->sessions);
    pulled_free(g->pulled);
}
