/* JobService's handlers: datasets are in datasets.c, uploading in upload.c, jobs in job.c. */
#ifndef ROOKERY_GATEWAY_SERVICE_JOB_JOB_H
#define ROOKERY_GATEWAY_SERVICE_JOB_JOB_H

#include "core/base/list.h"
#include "core/domain/job/dataset.h"
#include "core/event/outbox.h"
#include "gateway/gateway.h"

struct job_watch;

Rookery__V1__Dataset *job_shape_dataset(struct arena *a, const struct dataset_record *row);

/* The calls that watch jobs. The hub wakes them at JobChanged. Because such an event may be missed, all of them look
 * again once a second. */
struct job_watch *job_watch_new(struct gateway *g); /* NULL on allocation failure; listens to g->hub */
void job_watch_stop(struct fiber *self, struct job_watch *w); /* and frees; NULL is fine */

/* A watching call; on its fiber's stack. */
struct job_watcher {
    struct list_node node;
    struct fiber *fiber;
    int64_t job_id, account_id;
    bool changed;
};
/* Returns ERR_RESOURCE_EXHAUSTED when there are too many watchers, of this account or in total. */
int job_watch_add(struct job_watch *w, struct job_watcher *watcher, struct fault *fault);
void job_watch_remove(struct job_watch *w, struct job_watcher *watcher);

#endif
