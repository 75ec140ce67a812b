/* From rookery.v1.JobSpec to grouped_spec. */
#include "workers/jobs/role/spec.h"

#include <assert.h>

#include "core/codec/codec.h"
#include "core/domain/job/spec.h"

const Rookery__V1__JobSpec *role_spec_decode(struct arena *a, struct str encoded) {
    return (const void *)pb_decode(&rookery__v1__job_spec__descriptor, encoded, a, NULL);
}

static enum missing_policy policy_of(Rookery__V1__MissingPolicy p) {
    switch (p) {
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_DROP_ANY: return MISSING_DROP_ANY;
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_MEAN: return MISSING_MEAN;
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_MEDIAN: return MISSING_MEDIAN;
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_MODE: return MISSING_MODE;
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_KNN: return MISSING_KNN;
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_LOGISTIC: return MISSING_LOGISTIC;
    case ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_INDICATOR: return MISSING_INDICATOR;
    default: return MISSING_DROP;
    }
}

static enum dataset_text text_of(Rookery__V1__TextInNumbers t) {
    switch (t) {
    case ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MISSING: return TEXT_IS_MISSING;
    case ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MARK: return TEXT_IS_MARKED;
    default: return TEXT_IS_ERROR;
    }
}

static void set_column_policies(struct arena *a, const Rookery__V1__Regression *r, struct grouped_spec *out) {
    const char **names = ARENA_ARRAY(a, const char *, r->n_missing_columns);
    enum missing_policy *policies = ARENA_ARRAY(a, enum missing_policy, r->n_missing_columns);
    for (size_t i = 0; i < r->n_missing_columns; i++) {
        names[i] = r->missing_columns[i]->column;
        policies[i] = policy_of(r->missing_columns[i]->policy);
    }
    out->missing_columns = names;
    out->missing_of = policies;
    out->n_missing_columns = r->n_missing_columns;
}

static void set_regression(const Rookery__V1__Regression *r, struct grouped_spec *out) {
    out->slice_by = (const char *const *)r->slice_by;
    out->n_slice_by = r->n_slice_by;
    out->y = r->y;
    out->x = (const char *const *)r->x;
    out->n_x = r->n_x;
    out->weights = r->weights[0] ? r->weights : NULL;
    out->linear.no_intercept = r->no_intercept;
    out->linear.confidence = r->confidence;
    out->missing = policy_of(r->missing);
    out->missing_options = (struct missing_options){
        .k = (size_t)r->k, .distance = r->distance_weights, .standardise = r->standardise};
    out->predictors = (const char *const *)r->predictors;
    out->n_predictors = r->n_predictors;
    out->within_slice = r->impute_within_slice;
    out->impute_response = r->impute_response;
    out->drop_missing_keys = r->drop_missing_keys;
    out->wide = r->wide;
}

void role_spec_grouped(struct arena *a, const Rookery__V1__JobSpec *spec, struct grouped_spec *out,
                       struct dataset_options *dataset) {
    const Rookery__V1__Regression *r = job_spec_regression(spec);
    assert(r);
    *out = (struct grouped_spec){.threads = 1};
    set_regression(r, out);
    set_column_policies(a, r, out);
    if (spec->model_case == ROOKERY__V1__JOB_SPEC__MODEL_LOGISTIC) {
        out->model = MODEL_LOGISTIC;
        out->positive = spec->logistic->positive[0] ? spec->logistic->positive : NULL;
    } else {
        out->linear.robust = spec->linear->robust;
        out->linear.exact = spec->linear->exact;
    }
    dataset->text = text_of(r->text_in_numbers);
    grouped_dataset_options(out, dataset);
}
