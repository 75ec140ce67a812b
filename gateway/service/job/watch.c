/* Watching jobs.
 *
 * A watcher is on the list from before it looks at its job in SQL until its call ends. A JobChanged event of its job
 * marks it changed and wakes it, so a change between the look and the wait is not lost. An event may be missed, so
 * once a second all watchers are woken and look again.
 */
#include <assert.h>
#include <stdlib.h>

#include "gateway/hub/hub.h"
#include "gateway/service/job/job.h"

#define LOOK_AGAIN_MS 1000
/* Each is a call with a fiber, and a query a second. */
#define WATCHERS_MAX 2000
#define WATCHERS_PER_ACCOUNT 20

struct job_watch {
    struct hub_listener listener;
    struct list_node watchers;
    size_t n;
    struct fiber *ticker;
    struct latch left;
    struct gauge *watching;
};

static void wake(struct job_watcher *w) {
    w->changed = true;
    fiber_wake(w->fiber);
}

static void tick(struct fiber *self, void *arg) {
    struct job_watch *w = arg;
    while (fiber_sleep_ms(self, LOOK_AGAIN_MS) == 0)
        list_each (&w->watchers, it) wake(list_entry(it, struct job_watcher, node));
    latch_done(&w->left);
}

static void wake_all_of(struct job_watch *w, int64_t job_id) {
    list_each (&w->watchers, it) {
        struct job_watcher *watcher = list_entry(it, struct job_watcher, node);
        if (watcher->job_id == job_id) wake(watcher);
    }
}

static void heard(void *context, const struct hub_heard *h) {
    switch (event_kind(h->event)) {
    case EVENT_JOB_CHANGED: wake_all_of(context, h->event->job_changed->job_id); return;
#define EVENT(NAME, field, timelines, counts, caches, home, live, jobs) EVENT_UNLESS_##jobs(NAME)
#include "core/event/events.def"
#undef EVENT
    case EVENT_UNKNOWN: return;
    }
}

struct job_watch *job_watch_new(struct gateway *g) {
    struct job_watch *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    list_init(&w->watchers);
    latch_init(&w->left, 1);
    w->watching = metrics_gauge(g->domain.metrics, "rookery_job_watchers", "Calls watching a job", "");
    struct fiber_options options = {.name = "job watch"};
    if (fiber_spawn(g->domain.loop, &options, tick, w, &w->ticker) != 0) {
        free(w);
        return NULL;
    }
    w->listener = (struct hub_listener){.context = w, .interests = INTEREST_JOBS, .heard = heard};
    hub_listen(g->hub, &w->listener);
    return w;
}

void job_watch_stop(struct fiber *self, struct job_watch *w) {
    if (!w) return;
    fiber_cancel(w->ticker);
    latch_wait(self, &w->left);
    assert(w->n == 0 && list_empty(&w->watchers)); /* the server has stopped: no call is left */
    free(w);
}

int job_watch_add(struct job_watch *w, struct job_watcher *watcher, struct fault *fault) {
    size_t of_account = 0;
    list_each (&w->watchers, it)
        of_account += list_entry(it, struct job_watcher, node)->account_id == watcher->account_id;
    if (w->n >= WATCHERS_MAX)
        return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "%d calls watch jobs here already: try again later",
                         WATCHERS_MAX);
    if (of_account >= WATCHERS_PER_ACCOUNT)
        return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "an account may watch %d jobs at a time",
                         WATCHERS_PER_ACCOUNT);
    assert(watcher->fiber && watcher->account_id != 0);
    list_push_back(&w->watchers, &watcher->node);
    w->watching->value = (double)++w->n;
    return 0;
}

void job_watch_remove(struct job_watch *w, struct job_watcher *watcher) {
    list_remove(&watcher->node);
    w->watching->value = (double)--w->n;
}
