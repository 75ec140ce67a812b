/* The `jobs` role: datasets and jobs on their own streams. A newcomer starts here.
 *
 * Files named role_* may use the event loop and the servers; the others of this folder compute, and know neither.
 * role_jobs.c hands each message to its step: describing (role_describe.c), querying (role_query.c), planning,
 * fitting and combining (role_steps.c). What they share is below: the dataset as a file (role_files.c) and the
 * places for work on the thread pool.
 *
 * A step looks in SQL what is still to be done, does it, and writes the outcome in one transaction, together with the
 * outbox rows of the steps that follow from it. So it may run any number of times, on several workers at once, and be
 * killed at any moment.
 */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_JOBS_H
#define ROOKERY_WORKERS_JOBS_ROLE_JOBS_H

#include "rookery/v1/job.pb-c.h"
#include "workers/jobs/dataset.h"
#include "workers/runtime.h"

extern const struct role JOBS_ROLE;

struct jobs_lane {
    struct semaphore places; /* for work on the thread pool */
};
struct jobs_lane *jobs_lane_new(void); /* NULL without memory */
void jobs_lane_free(struct jobs_lane *j);

/* Runs some of a computation on the thread pool, again and again until it says it is done, so that a thread is
 * not taken for long and stopping is noticed. Returns 0; ERR_UNAVAILABLE when the process is asked to stop. The
 * caller holds a place. */
typedef bool jobs_piece(void *arg); /* true: there is more to do */
int jobs_compute(struct fiber *self, struct worker *w, jobs_piece *piece, void *arg);

/* ---- steps: 0, or an error of the step's own or of a backend ---- */
int role_describe(struct fiber *self, struct worker *w, int64_t dataset_id, struct fault *fault);

/* The data are the user's fault: what they are told. */
int role_dataset_fail(struct fiber *self, struct worker *w, int64_t dataset_id, const char *sentence,
                      struct fault *fault);

/* ---- files ---- */

/* A nameless temporary file with the dataset's bytes, read from its start; -1 in *fd when the dataset is gone. The
 * caller closes it. */
int role_fetch_dataset(struct fiber *self, struct worker *w, int64_t dataset_id, int *fd,
                       struct fault *fault);

/* What a dataset's dialect (encoded) means to the scanner, in the arena. */
void role_dialect(struct arena *a, struct str encoded, struct dataset_options *out);

/* A step that was begun so often and never ended takes its worker with it, or its machine is too small. */
#define ROLE_ATTEMPTS(config) (2 * (config)->max_deliveries)

#endif
