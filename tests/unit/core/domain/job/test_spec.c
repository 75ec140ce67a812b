/* What a job asks for, against the columns of its dataset: what is fine passes, and each mistake is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/domain/job/spec.h"

static Rookery__V1__Column number = ROOKERY__V1__COLUMN__INIT, real = ROOKERY__V1__COLUMN__INIT,
                           text = ROOKERY__V1__COLUMN__INIT;
static Rookery__V1__Column *const columns[] = {&number, &real, &text};

/* A spec with everything it needs, for a test to spoil. */
struct fixture {
    Rookery__V1__JobSpec spec;
    Rookery__V1__LinearModel linear;
    Rookery__V1__LogisticModel logistic;
    Rookery__V1__AssociationModel association;
    Rookery__V1__Log2SumModel log2_sum;
    Rookery__V1__Regression regression;
    Rookery__V1__ColumnPolicy policy;
    Rookery__V1__ColumnPolicy *policies[2];
    char *x[3], *slice_by[17];
};

static struct fixture *fresh(void) {
    static struct fixture f;
    number.name = "number";
    number.type = ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_INTEGER;
    real.name = "real";
    real.type = ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_DOUBLE;
    text.name = "text";
    text.type = ROOKERY__V1__COLUMN_TYPE__COLUMN_TYPE_TEXT;
    f = (struct fixture){.x = {"real"}, .slice_by = {"text"}};
    rookery__v1__job_spec__init(&f.spec);
    rookery__v1__linear_model__init(&f.linear);
    rookery__v1__logistic_model__init(&f.logistic);
    rookery__v1__regression__init(&f.regression);
    rookery__v1__column_policy__init(&f.policy);
    f.policies[0] = f.policies[1] = &f.policy;
    f.regression.y = "number";
    f.regression.x = f.x;
    f.regression.n_x = 1;
    f.regression.slice_by = f.slice_by;
    f.regression.n_slice_by = 1;
    f.regression.missing_columns = f.policies;
    f.linear.regression = f.logistic.regression = &f.regression;
    f.spec.model_case = ROOKERY__V1__JOB_SPEC__MODEL_LINEAR;
    f.spec.linear = &f.linear;
    return &f;
}

static void become_logistic(struct fixture *f) {
    f->spec.model_case = ROOKERY__V1__JOB_SPEC__MODEL_LOGISTIC;
    f->spec.logistic = &f->logistic;
}

static void become_association(struct fixture *f) {
    rookery__v1__association_model__init(&f->association);
    f->association.variant = "text";
    f->association.status = "number";
    f->association.patient = "real";
    f->spec.model_case = ROOKERY__V1__JOB_SPEC__MODEL_ASSOCIATION;
    f->spec.association = &f->association;
}

static void become_log2_sum(struct fixture *f) {
    rookery__v1__log2_sum_model__init(&f->log2_sum);
    f->log2_sum.patient = "text";
    f->log2_sum.transcript = "number";
    f->log2_sum.tpm = "real";
    f->log2_sum.map_dataset_id = 1;
    f->spec.model_case = ROOKERY__V1__JOB_SPEC__MODEL_LOG2_SUM;
    f->spec.log2_sum = &f->log2_sum;
}

static void assert_fine(const struct fixture *f) {
    struct fault fault = {0};
    int e = job_spec_check(&f->spec, columns, 3, &fault);
    if (e != 0) print_message("%s\n", fault.text);
    assert_int_equal(e, 0);
}

static void assert_refused(const struct fixture *f, const char *field, const char *words) {
    struct fault fault = {0};
    assert_int_equal(job_spec_check(&f->spec, columns, 3, &fault), ERR_INVALID_ARGUMENT);
    assert_string_equal(fault.field, field);
    if (!strstr(fault.text, words)) print_message("%s\n", fault.text);
    assert_non_null(strstr(fault.text, words));
}

static void what_is_fine_passes(void **state) {
    (void)state;
    struct fixture *f = fresh();
    assert_fine(f);
    f->regression.n_x = 0; /* the mean */
    assert_fine(f);
    f->regression.n_slice_by = 0;
    f->regression.weights = "real";
    f->regression.confidence = 0.5;
    assert_fine(f);
}

static void a_column_that_does_not_exist_is_named(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->regression.y = "numbers";
    assert_refused(f, "spec.linear.regression.y", "\"numbers\" is not a column");
    f = fresh();
    f->x[0] = "reals";
    assert_refused(f, "spec.linear.regression.x", "\"reals\" is not a column");
    f = fresh();
    f->slice_by[0] = "texts";
    assert_refused(f, "spec.linear.regression.slice_by", "\"texts\" is not a column");
    f = fresh();
    f->regression.weights = "w";
    assert_refused(f, "spec.linear.regression.weights", "\"w\" is not a column");
    f = fresh();
    f->regression.y = "";
    assert_refused(f, "spec.linear.regression.y", "must name a column");
}

static void text_where_numbers_are_needed_is_refused(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->regression.y = "text";
    assert_refused(f, "spec.linear.regression.y", "holds text");
    f->regression.text_in_numbers = ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MARK;
    assert_fine(f);
    f = fresh();
    f->x[0] = "text";
    assert_refused(f, "spec.linear.regression.x", "holds text");
}

static void a_logistic_response_may_be_text(void **state) {
    (void)state;
    struct fixture *f = fresh();
    become_logistic(f);
    f->regression.y = "text";
    assert_fine(f);
    f->x[0] = "text";
    assert_refused(f, "spec.logistic.regression.x", "holds text");
}

static void predictors_are_distinct_and_not_the_response(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->x[1] = "real";
    f->regression.n_x = 2;
    assert_refused(f, "spec.linear.regression.x", "comes twice");
    f = fresh();
    f->x[0] = "number";
    assert_refused(f, "spec.linear.regression.x", "is the response");
}

static void the_indicator_of_a_column_may_be_a_predictor(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->x[0] = "missingindicator_real";
    assert_refused(f, "spec.linear.regression.x", "is not a column");
    f->policy.column = "real";
    f->policy.policy = ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_INDICATOR;
    assert_refused(f, "spec.linear.regression.x",
                   "is not a column"); /* the policy is not in the request yet */
    f->regression.n_missing_columns = 1;
    assert_fine(f);
    f->x[0] = "missingindicator_nothing";
    assert_refused(f, "spec.linear.regression.x", "is not a column");
}

static void policies_name_a_column_once_and_a_policy(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->policy.column = "real";
    f->regression.n_missing_columns = 1;
    assert_refused(f, "spec.linear.regression.missing_columns", "needs a policy");
    f->policy.policy = ROOKERY__V1__MISSING_POLICY__MISSING_POLICY_MEAN;
    assert_fine(f);
    f->regression.n_missing_columns = 2;
    assert_refused(f, "spec.linear.regression.missing_columns", "comes twice");
    f = fresh();
    f->regression.missing = (Rookery__V1__MissingPolicy)99;
    assert_refused(f, "spec.linear.regression.missing", "MissingPolicy");
}

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    static const double confidences[] = {1, 2, -0.1, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < sizeof confidences / sizeof *confidences; i++) {
        struct fixture *f = fresh();
        f->regression.confidence = confidences[i];
        assert_refused(f, "spec.linear.regression.confidence", "between 0 and 1");
    }
    struct fixture *f = fresh();
    f->regression.k = -1;
    assert_refused(f, "spec.linear.regression.k", "1 to 10000");
    f->regression.k = 10001;
    assert_refused(f, "spec.linear.regression.k", "1 to 10000");
    f->regression.k = 10000;
    assert_fine(f);
    f->regression.k = 0;
    assert_fine(f);
    f = fresh();
    for (size_t i = 0; i < 17; i++) f->slice_by[i] = "text";
    f->regression.n_slice_by = 17;
    assert_refused(f, "spec.linear.regression.slice_by", "one too many");
    f->regression.n_slice_by = 16; /* not one too many, though they are the same */
    assert_refused(f, "spec.linear.regression.slice_by", "comes twice");
    f = fresh();
    f->regression.no_intercept = true;
    assert_fine(f);
    real.name = "intercept";
    f->x[0] = real.name;
    assert_fine(f);
    f->regression.no_intercept = false;
    assert_refused(f, "spec.linear.regression.x", "second term");
    f = fresh();
    f->regression.n_x = 0;
    f->regression.no_intercept = true;
    assert_refused(f, "spec.linear.regression.x", "no intercept");
}

static void a_spec_without_its_parts_is_refused(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->linear.regression = NULL;
    assert_refused(f, "spec.linear.regression.regression", "must be given");
    f->spec.model_case = ROOKERY__V1__JOB_SPEC__MODEL__NOT_SET;
    assert_refused(f, "spec.model", "must have a model");
    f = fresh();
    f->spec.format = (Rookery__V1__ResultFormat)(ROOKERY__V1__RESULT_FORMAT__RESULT_FORMAT_JSON + 1);
    assert_refused(f, "spec.format", "CSV or JSON");
    f->spec.format = (Rookery__V1__ResultFormat)-1;
    assert_refused(f, "spec.format", "CSV or JSON");
    f->spec.format = ROOKERY__V1__RESULT_FORMAT__RESULT_FORMAT_JSON;
    assert_fine(f);
}

static void a_predictor_needs_its_number_unless_text_is_dealt_with(void **state) {
    (void)state;
    struct fixture *f = fresh();
    f->regression.weights = "text";
    assert_refused(f, "spec.linear.regression.weights", "holds text");
    f->x[0] = "text";
    f->regression.text_in_numbers = ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MISSING;
    assert_fine(f);
    f->regression.text_in_numbers = ROOKERY__V1__TEXT_IN_NUMBERS__TEXT_IN_NUMBERS_MARK;
    assert_fine(f);
}

static void expected_predictors_are_columns(void **state) {
    char *names[] = {"a column that is not there"};
    (void)state;
    struct fixture *f = fresh();
    f->regression.predictors = names;
    f->regression.n_predictors = 1;
    assert_refused(f, "spec.linear.regression.predictors", "is not a column");
    names[0] = "text";
    assert_fine(f);
}

static void association_needs_its_columns_and_counts(void **state) {
    (void)state;
    struct fixture *f = fresh();
    become_association(f);
    assert_fine(f);
    f->association.top = 1;
    f->association.min_patients = 1;
    assert_fine(f);
    f->association.top = -1;
    assert_refused(f, "spec.association.top", "must not be negative");
    f->association.top = 0;
    f->association.min_patients = -1;
    assert_refused(f, "spec.association.min_patients", "must not be negative");
    become_association(f);
    f->association.variant = "none";
    assert_refused(f, "spec.association.variant", "is not a column");
    become_association(f);
    f->association.status = "";
    assert_refused(f, "spec.association.status", "must name a column");
    become_association(f);
    f->association.patient = "none";
    assert_refused(f, "spec.association.patient", "is not a column");
}

static void log2_sum_needs_its_columns_and_a_map(void **state) {
    (void)state;
    struct fixture *f = fresh();
    become_log2_sum(f);
    assert_fine(f);
    f->log2_sum.map_dataset_id = 0;
    assert_refused(f, "spec.log2_sum.map_dataset_id", "must be a dataset");
    become_log2_sum(f);
    f->log2_sum.tpm = "text";
    assert_refused(f, "spec.log2_sum.tpm", "holds text");
    become_log2_sum(f);
    f->log2_sum.patient = "none";
    assert_refused(f, "spec.log2_sum.patient", "is not a column");
    become_log2_sum(f);
    f->log2_sum.transcript = "none";
    assert_refused(f, "spec.log2_sum.transcript", "is not a column");
}

static void the_regression_of_a_spec_is_its_models(void **state) {
    (void)state;
    struct fixture *f = fresh();
    assert_ptr_equal(job_spec_regression(&f->spec), &f->regression);
    become_logistic(f);
    assert_ptr_equal(job_spec_regression(&f->spec), &f->regression);
    become_association(f);
    assert_null(job_spec_regression(&f->spec));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_fine_passes),
        cmocka_unit_test(a_column_that_does_not_exist_is_named),
        cmocka_unit_test(text_where_numbers_are_needed_is_refused),
        cmocka_unit_test(a_logistic_response_may_be_text),
        cmocka_unit_test(predictors_are_distinct_and_not_the_response),
        cmocka_unit_test(the_indicator_of_a_column_may_be_a_predictor),
        cmocka_unit_test(policies_name_a_column_once_and_a_policy),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(a_spec_without_its_parts_is_refused),
        cmocka_unit_test(a_predictor_needs_its_number_unless_text_is_dealt_with),
        cmocka_unit_test(expected_predictors_are_columns),
        cmocka_unit_test(association_needs_its_columns_and_counts),
        cmocka_unit_test(log2_sum_needs_its_columns_and_a_map),
        cmocka_unit_test(the_regression_of_a_spec_is_its_models),
    };
    return cmocka_run_group_tests_name("job_spec", tests, NULL, NULL);
}
