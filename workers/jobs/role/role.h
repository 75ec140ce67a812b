/* The `jobs` role: datasets and jobs on their own streams. A newcomer starts here.
 *
 * The files of this folder may use the event loop and the servers. The other folders of workers/jobs only compute,
 * and know neither. role.c hands each message to its step: describing (describe.c), querying (query.c), planning,
 * fitting and combining (steps.c, with the SQL in store.c and the computing in fit.c, on threads by compute.c). Bytes
 * travel between SQL and files by files.c.
 *
 * A step asks SQL what is still to be done, does it, and writes the outcome in one transaction, together with the
 * outbox rows of the steps that follow. So it may run any number of times, on several workers concurrently, and be
 * killed at any moment.
 */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_ROLE_H
#define ROOKERY_WORKERS_JOBS_ROLE_ROLE_H

#include "rookery/v1/job.pb-c.h"
#include "workers/runtime/runtime.h"

extern const struct role JOBS_ROLE;

/* The role's state: a struct semaphore, which counts places on the thread pool. */
extern const struct role_state JOBS_PLACES;

/* Runs a computation on the thread pool, piece by piece until `piece` returns false, so that no thread is occupied
 * for long and a stop is noticed. Returns 0, or ERR_UNAVAILABLE when the process is asked to stop. The caller holds a
 * place. */
typedef bool jobs_piece(void *arg); /* true: there is more to do */
int jobs_compute(struct fiber *self, struct worker *w, jobs_piece *piece, void *arg);

/* The purpose of a long computation: a job, or a dataset, in this state. */
struct jobs_wanted {
    int64_t job_id, dataset_id; /* one of them is 0 */
    int64_t state;
};
/* Runs fn(arg) once on the thread pool, for as long as it takes. *stop, which fn reads, becomes true when the process
 * is asked to stop, or when the job or dataset has left this state. The caller holds a place. */
int jobs_compute_long(struct fiber *self, struct worker *w, struct jobs_wanted wanted, jobs_piece *fn,
                      void *arg, _Atomic bool *stop);

/* Waits until a child's latch is done. When the caller is interrupted, it interrupts the child and waits for it,
 * since the child uses the caller's memory. */
int jobs_wait_child(struct fiber *self, struct fiber *child, struct latch *done);

/* ---- steps: 0 when there is nothing left to do for this message, or a backend's error ---- */
int role_describe(struct fiber *self, struct worker *w, int64_t dataset_id, struct fault *fault);
int role_query(struct fiber *self, struct worker *w, int64_t dataset_id, struct fault *fault);
int role_plan(struct fiber *self, struct worker *w, int64_t job_id, struct fault *fault);
int role_task(struct fiber *self, struct worker *w, int64_t job_id, int32_t task, struct fault *fault);
int role_combine(struct fiber *self, struct worker *w, int64_t job_id, struct fault *fault);

/* Ends a dataset or a job that has not ended, with a sentence for its owner. */
int role_dataset_fail(struct fiber *self, struct worker *w, int64_t dataset_id, const char *sentence,
                      struct fault *fault);
int role_job_fail(struct fiber *self, struct worker *w, int64_t job_id, const char *sentence,
                  struct fault *fault);

/* Returns a sentence or notes as text for SQL and for people, in the arena: bytes that are not UTF-8 (such as a value
 * that was cut inside a character) become U+FFFD. */
struct str role_clean_text(struct arena *a, const char *text);

/* A step that was begun so often and never ended kills its worker, or the machine is too small for it. */
#define ROLE_ATTEMPTS(config) (2 * (config)->max_deliveries)
#define ROLE_BEGUN_TOO_OFTEN "it was begun many times and never finished"

#endif
