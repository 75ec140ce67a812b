/* From a table to a table of results: a model per slice (grouped.h), in parts that may run on many machines
 * (steps.h), with gaps filled (impute.h), and the models of genes (genomics.h). */
#ifndef ROOKERY_WORKERS_JOBS_FIT_FIT_H
#define ROOKERY_WORKERS_JOBS_FIT_FIT_H

#include "workers/jobs/fit/genomics.h"
#include "workers/jobs/fit/grouped.h"
#include "workers/jobs/fit/impute.h"
#include "workers/jobs/fit/steps.h"

#endif
