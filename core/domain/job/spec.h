/* Checks a job's spec against its dataset's columns, before anything runs. */
#ifndef ROOKERY_CORE_DOMAIN_JOB_SPEC_H
#define ROOKERY_CORE_DOMAIN_JOB_SPEC_H

#include "core/base/error.h"
#include "rookery/v1/job.pb-c.h"

/* INVALID_ARGUMENT about the first wrong field, saying what would be right: no model; a column that is missing, does
 * not exist, is named twice or holds text where numbers are needed; a number out of its range. */
int job_spec_check(const Rookery__V1__JobSpec *spec, Rookery__V1__Column *const *columns, size_t n_columns,
                   struct fault *fault);

/* The part that linear and logistic share; NULL for the other models. */
const Rookery__V1__Regression *job_spec_regression(const Rookery__V1__JobSpec *spec);

#endif
