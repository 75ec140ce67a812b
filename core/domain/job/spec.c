/* Checks of a job's spec. Each returns 0, or INVALID_ARGUMENT that names the field. */
#include "core/domain/job/spec.h"

#include <stdio.h>
#include <string.h>

#define SLICE_BY_MAX 16
#define X_MAX 1000
#define K_MAX 10000
#define INDICATOR_PREFIX "missingindicator_"

struct check {
    Rookery__V1__Column *const *columns;
    size_t n_columns;
    const char *model; /* "linear.regression": where the fields are */
    struct fault *fault;
};

static const Rookery__V1__Column *find(const struct check *c, const char *name) {
    for (size_t i = 0; i < c->n_columns; i++)
        if (strcmp(c->columns[i]->name, name) == 0) return c->columns[i];
    return NULL;
}

static int wrong(const struct check *c, const char *field, const char *name, const char *why) {
    char path[48];
    snprintf(path, sizeof path, "spec.%s.%s", c->model, field);
    return fault_field(c->fault, ERR_INVALID_ARGUMENT, path, "%s: \"%.60s\" %s", path, name, why);
}

static int check_column(const struct check *c, const char *field, const char *name) {
    if (name[0] == '\0') return wrong(c, field, name, "must name a column of the dataset");
    if (!find(c, name)) return wrong(c, field, name, "is not a column of the dataset");
    return 0;
}

static int check_number(const struct check *c, const char *field, const char *name, bool text_is_fine) {
    int e = check_column(c, field, name);
    if (e != 0 || text_is_fine) return e;
    if (find(c, name)->type == ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_TEXT)
        return wrong(c, field, name,
                     "holds text, and numbers are needed; text_in_numbers says what to do about it");
    return 0;
}

static int check_distinct(const struct check *c, const char *field, char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0) return wrong(c, field, names[i], "comes twice");
    return 0;
}

static int check_columns(const struct check *c, const char *field, char *const *names, size_t n, size_t max) {
    if (n > max) return wrong(c, field, names[max], "is one too many");
    int e = check_distinct(c, field, names, n);
    for (size_t i = 0; e == 0 && i < n; i++) e = check_column(c, field, names[i]);
    return e;
}

/* ---- regressions --------------------------------------------------------------------------------------- */

static Rookery__V1__MissingPolicy policy_of(const Rookery__V1__Regression *r, const char *column) {
    for (size_t i = 0; i < r->n_missing_columns; i++)
        if (strcmp(r->missing_columns[i]->column, column) == 0) return r->missing_columns[i]->policy;
    return r->missing;
}

static bool is_indicator(const Rookery__V1__Regression *r, const char *column) {
    return policy_of(r, column) == ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_INDICATOR;
}

/* The 0/1 column that the policy `indicator` adds may be a predictor too. */
static int check_predictor(const struct check *c, const Rookery__V1__Regression *r, const char *name,
                           bool text_is_fine) {
    size_t prefix = sizeof INDICATOR_PREFIX - 1;
    if (!find(c, name) && strncmp(name, INDICATOR_PREFIX, prefix) == 0 && find(c, name + prefix) &&
        is_indicator(r, name + prefix))
        return 0;
    return check_number(c, "x", name, text_is_fine);
}

static bool takes_text(const Rookery__V1__Regression *r) {
    return r->text_in_numbers == ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MISSING ||
           r->text_in_numbers == ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MARK;
}

static int check_x(const struct check *c, const Rookery__V1__Regression *r) {
    if (r->n_x > X_MAX) return wrong(c, "x", r->x[X_MAX], "is one too many");
    int e = check_distinct(c, "x", r->x, r->n_x);
    for (size_t i = 0; e == 0 && i < r->n_x; i++) e = check_predictor(c, r, r->x[i], takes_text(r));
    for (size_t i = 0; e == 0 && i < r->n_x; i++)
        if (strcmp(r->x[i], r->y) == 0) e = wrong(c, "x", r->y, "is the response, y");
    for (size_t i = 0; e == 0 && i < r->n_x; i++)
        if (!r->no_intercept && strcmp(r->x[i], "intercept") == 0)
            e = wrong(c, "x", r->x[i],
                      "would be a second term of that name: rename the column, or set no_intercept");
    return e;
}

static bool known_policy(Rookery__V1__MissingPolicy p) {
    return p >= ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_UNSPECIFIED &&
           p <= ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_INDICATOR;
}

static int check_policies(const struct check *c, const Rookery__V1__Regression *r) {
    if (!known_policy(r->missing)) return wrong(c, "missing", "", "must be a MissingPolicy");
    if (r->n_missing_columns > c->n_columns)
        return wrong(c, "missing_columns", "", "must name a column once at most");
    for (size_t i = 0; i < r->n_missing_columns; i++) {
        const Rookery__V1__ColumnPolicy *p = r->missing_columns[i];
        int e = check_column(c, "missing_columns", p->column);
        if (e != 0) return e;
        if (!known_policy(p->policy) || p->policy == ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_UNSPECIFIED)
            return wrong(c, "missing_columns", p->column, "needs a policy");
        for (size_t k = 0; k < i; k++)
            if (strcmp(p->column, r->missing_columns[k]->column) == 0)
                return wrong(c, "missing_columns", p->column, "comes twice");
    }
    return 0;
}

static int check_options(const struct check *c, const Rookery__V1__Regression *r) {
    if (!(r->confidence >= 0 && r->confidence < 1))
        return wrong(c, "confidence", "", "must be between 0 and 1; 0 is 0.95");
    if (r->k < 0 || r->k > K_MAX) return wrong(c, "k", "", "must be 1 to 10000; 0 is 5");
    if (r->n_x == 0 && r->no_intercept)
        return wrong(c, "x", "", "must name a column when there is no intercept");
    return 0;
}

static int check_regression(struct check *c, const char *model, const Rookery__V1__Regression *r,
                            bool response_may_be_text) {
    c->model = model;
    if (!r) return wrong(c, "regression", "", "must be given");
    int e = check_columns(c, "slice_by", r->slice_by, r->n_slice_by, SLICE_BY_MAX);
    if (e == 0) e = check_number(c, "y", r->y, response_may_be_text || takes_text(r));
    if (e == 0) e = check_x(c, r);
    if (e == 0 && r->weights[0]) e = check_number(c, "weights", r->weights, takes_text(r));
    if (e == 0) e = check_policies(c, r);
    if (e == 0) e = check_columns(c, "predictors", r->predictors, r->n_predictors, X_MAX);
    return e == 0 ? check_options(c, r) : e;
}

/* ---- the genomics models ------------------------------------------------------------------------------- */

static int check_association(struct check *c, const Rookery__V1__AssociationModel *m) {
    c->model = "association";
    int e = check_column(c, "variant", m->variant);
    if (e == 0) e = check_column(c, "status", m->status);
    if (e == 0) e = check_column(c, "patient", m->patient);
    if (e == 0 && m->top < 0) e = wrong(c, "top", "", "must not be negative; 0 is 5");
    if (e == 0 && m->min_patients < 0) e = wrong(c, "min_patients", "", "must not be negative; 0 is 2");
    return e;
}

static int check_log2_sum(struct check *c, const Rookery__V1__Log2SumModel *m) {
    c->model = "log2_sum";
    int e = check_column(c, "patient", m->patient);
    if (e == 0) e = check_column(c, "transcript", m->transcript);
    if (e == 0) e = check_number(c, "tpm", m->tpm, false);
    if (e == 0 && m->map_dataset_id == 0)
        e = wrong(c, "map_dataset_id", "", "must be a dataset of two columns");
    return e;
}

const Rookery__V1__Regression *job_spec_regression(const Rookery__V1__JobSpec *spec) {
    switch (spec->model_case) {
    case ROOKERY__V1__JOB_SPEC__MODEL_LINEAR: return spec->linear->regression;
    case ROOKERY__V1__JOB_SPEC__MODEL_LOGISTIC: return spec->logistic->regression;
    default: return NULL;
    }
}

int job_spec_check(const Rookery__V1__JobSpec *spec, Rookery__V1__Column *const *columns, size_t n_columns,
                   struct fault *fault) {
    struct check c = {.columns = columns, .n_columns = n_columns, .fault = fault};
    if (spec->format < 0 || spec->format > ROOKERY__V1__RESULT_FORMAT__RESULT_FORMAT_JSON)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "spec.format", "spec.format must be CSV or JSON");
    switch (spec->model_case) {
    case ROOKERY__V1__JOB_SPEC__MODEL_LINEAR:
        return check_regression(&c, "linear.regression", spec->linear->regression, false);
    case ROOKERY__V1__JOB_SPEC__MODEL_LOGISTIC:
        return check_regression(&c, "logistic.regression", spec->logistic->regression, true);
    case ROOKERY__V1__JOB_SPEC__MODEL_ASSOCIATION: return check_association(&c, spec->association);
    case ROOKERY__V1__JOB_SPEC__MODEL_LOG2_SUM: return check_log2_sum(&c, spec->log2_sum);
    default:
        return fault_field(fault, ERR_INVALID_ARGUMENT, "spec.model",
                           "spec must have a model: linear, logistic, association or log2_sum");
    }
}
