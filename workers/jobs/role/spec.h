/* A job's spec as the grouped fit takes it. */
#ifndef ROOKERY_WORKERS_JOBS_ROLE_SPEC_H
#define ROOKERY_WORKERS_JOBS_ROLE_SPEC_H

#include "core/base/arena.h"
#include "core/base/str.h"
#include "rookery/v1/job.pb-c.h"
#include "workers/jobs/fit/grouped.h"

/* Returns NULL when the bytes are not a spec. That does not happen: they were checked before they were stored. */
const Rookery__V1__JobSpec *role_spec_decode(struct arena *a, struct str encoded);

/* A linear or logistic model; memory is the arena's and the spec's. Also sets the options with which the job reads
 * the dataset. */
void role_spec_grouped(struct arena *a, const Rookery__V1__JobSpec *spec, struct grouped_spec *out,
                       struct dataset_options *dataset);

#endif
