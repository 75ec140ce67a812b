/* Variant frequencies among the diseased and the healthy. */
#include "tests/unit/support/jobs_reference.h"
#include "workers/jobs/model/association.h"

enum { MAX_ROWS = 1024 };

struct rows {
    uint32_t variant[MAX_ROWS], patient[MAX_ROWS];
    uint8_t status[MAX_ROWS];
    size_t count;
    uint32_t patients;
};

static void add(struct rows *r, uint32_t variant, uint32_t patient, enum association_status status) {
    assert_true(r->count < MAX_ROWS);
    r->variant[r->count] = variant;
    r->patient[r->count] = patient;
    r->status[r->count++] = (uint8_t)status;
    if (patient >= r->patients) r->patients = patient + 1;
}

/* `carriers` of `all` patients numbered from `first` carry the variant; the others have no variant. */
static void add_side(struct rows *r, uint32_t variant, uint32_t first, uint32_t carriers, uint32_t all,
                     enum association_status status) {
    for (uint32_t k = 0; k < all; k++) {
        add(r, k < carriers ? variant : ASSOCIATION_NO_VARIANT, first + k, status);
    }
}

static struct association_result run(const struct rows *r, uint32_t variants,
                                     const struct association_options *options) {
    struct association_result result;
    struct association_input input = {r->variant, r->patient, r->status, r->count, variants, r->patients};
    assert_true(association_run(&input, options, &result));
    return result;
}

static void assert_milli(int32_t value, const char *text) {
    char out[16];
    assert_int_equal(association_format_milli(out, value), strlen(text));
    assert_string_equal(out, text);
}

static void frequencies_are_rounded_half_away_from_zero_from_the_integers(void **state) {
    (void)state;
    struct rows r = {0};
    add_side(&r, 0, 0, 45, 80, ASSOCIATION_DISEASED);
    add_side(&r, 0, 100, 1, 80, ASSOCIATION_HEALTHY);
    add(&r, 0, 101, ASSOCIATION_HEALTHY);
    struct association_result result = run(&r, 1, NULL);
    assert_int_equal(result.count, 1);
    const struct association_row *row = &result.rows[0];
    assert_int_equal(row->diseased_carriers, 45);
    assert_int_equal(row->healthy_carriers, 2);
    assert_milli(row->diseased_milli, "0.563"); /* 0.5625, which printf would make 0.562 */
    assert_milli(row->healthy_milli, "0.025");
    assert_milli(row->difference_milli, "0.538"); /* 0.5375 */
    assert_true(row->diseased_frequency == 0.5625 && row->frequency_difference == 0.5375);
    assert_close(row->fisher.p.p, fisher_exact(45, 35, 2, 78, 0.95).p.p, 0);
    association_free(&result);
}

static void a_negative_difference_rounds_away_from_zero_too(void **state) {
    (void)state;
    struct rows r = {0};
    add_side(&r, 0, 0, 2, 80, ASSOCIATION_DISEASED);
    add_side(&r, 0, 100, 45, 80, ASSOCIATION_HEALTHY);
    struct association_result result = run(&r, 1, NULL);
    assert_milli(result.rows[0].difference_milli, "-0.538");
    assert_milli(0, "0.000");
    assert_milli(1000, "1.000");
    assert_milli(-1, "-0.001");
    association_free(&result);
}

static void repeated_rows_count_a_patient_once(void **state) {
    (void)state;
    struct rows r = {0};
    for (int k = 0; k < 3; k++) {
        add(&r, 0, 0, ASSOCIATION_DISEASED);
        add(&r, 0, 1, ASSOCIATION_DISEASED);
        add(&r, 0, 2, ASSOCIATION_HEALTHY);
        add(&r, 0, 3, ASSOCIATION_HEALTHY);
        add(&r, 1, 0, ASSOCIATION_DISEASED);
        add(&r, 1, 4, ASSOCIATION_HEALTHY);
    }
    struct association_result result = run(&r, 2, &(struct association_options){.min_patients = 1});
    assert_int_equal(result.diseased, 2);
    assert_int_equal(result.healthy, 3);
    assert_int_equal(result.count, 2);
    assert_int_equal(result.rows[0].variant, 0); /* 1 - 2/3 against 1/2 - 1/3 */
    assert_int_equal(result.rows[0].diseased_carriers, 2);
    assert_int_equal(result.rows[0].healthy_carriers, 2);
    assert_int_equal(result.rows[1].healthy_carriers, 1);
    association_free(&result);
}

static void patients_of_unknown_status_are_left_out(void **state) {
    (void)state;
    struct rows r = {0};
    add_side(&r, 0, 0, 3, 4, ASSOCIATION_DISEASED);
    add_side(&r, 0, 10, 2, 5, ASSOCIATION_HEALTHY);
    add_side(&r, 0, 20, 7, 9, ASSOCIATION_UNKNOWN);
    struct association_result result = run(&r, 1, NULL);
    assert_int_equal(result.diseased, 4);
    assert_int_equal(result.healthy, 5);
    assert_milli(result.rows[0].difference_milli, "0.350");
    association_free(&result);
}

static void a_side_below_min_patients_is_absent_and_a_variant_absent_on_both_is_left_out(void **state) {
    (void)state;
    struct rows r = {0};
    add_side(&r, 0, 0, 3, 10, ASSOCIATION_DISEASED);
    add_side(&r, 0, 20, 1, 10, ASSOCIATION_HEALTHY);
    add(&r, 1, 0, ASSOCIATION_DISEASED);
    add(&r, 1, 20, ASSOCIATION_HEALTHY);
    struct association_result result = run(&r, 2, NULL);
    assert_int_equal(result.count, 1);
    assert_int_equal(result.rows[0].healthy_carriers, 1);
    assert_true(result.rows[0].healthy_frequency == 0);
    assert_milli(result.rows[0].difference_milli, "0.300");
    /* The test is of what was counted. */
    assert_close(result.rows[0].fisher.p.p, fisher_exact(3, 7, 1, 9, 0.95).p.p, 0);
    association_free(&result);
    result = run(&r, 2, &(struct association_options){.min_patients = 1});
    assert_int_equal(result.count, 2);
    association_free(&result);
}

static void equal_differences_rank_by_variant(void **state) {
    (void)state;
    /* 1/3 - 0 and 0 - 1/3 and 2/3 - 1/3, which floating point would tell apart. */
    struct rows r = {0};
    add_side(&r, 2, 0, 2, 6, ASSOCIATION_DISEASED);
    add_side(&r, 1, 20, 2, 6, ASSOCIATION_HEALTHY);
    for (uint32_t k = 0; k < 4; k++) add(&r, 0, k, ASSOCIATION_DISEASED);
    for (uint32_t k = 0; k < 2; k++) add(&r, 0, 20 + k, ASSOCIATION_HEALTHY);
    for (uint32_t k = 0; k < 3; k++) add(&r, 3, k, ASSOCIATION_DISEASED);
    struct association_result result = run(&r, 4, NULL);
    assert_int_equal(result.count, 4);
    assert_int_equal(result.rows[0].variant, 3);
    for (uint32_t k = 0; k < 3; k++) {
        assert_int_equal(result.rows[k + 1].variant, k);
        assert_int_equal(abs(result.rows[k + 1].difference_milli), 333);
    }
    association_free(&result);
}

static void only_the_top_is_returned(void **state) {
    (void)state;
    struct rows r = {0};
    for (uint32_t v = 0; v < 9; v++) {
        for (uint32_t k = 0; k < v + 2; k++) add(&r, v, k, ASSOCIATION_DISEASED);
        add(&r, v, 100, ASSOCIATION_HEALTHY);
    }
    struct association_result result = run(&r, 9, NULL);
    assert_int_equal(result.count, 5);
    for (uint32_t k = 0; k < 5; k++) assert_int_equal(result.rows[k].variant, 8 - k);
    association_free(&result);
    result = run(&r, 9, &(struct association_options){.top = SIZE_MAX});
    assert_int_equal(result.count, 9);
    association_free(&result);
}

static void no_rows_and_no_healthy_patients_are_answered(void **state) {
    (void)state;
    struct rows r = {0};
    struct association_result result = run(&r, 0, NULL);
    assert_int_equal(result.count, 0);
    association_free(&result);
    add_side(&r, 0, 0, 3, 4, ASSOCIATION_DISEASED);
    result = run(&r, 1, NULL);
    assert_int_equal(result.count, 1);
    assert_milli(result.rows[0].difference_milli, "0.750");
    assert_true(isnan(result.rows[0].fisher.odds_ratio));
    association_free(&result);
}

static void the_order_of_rows_does_not_matter(void **state) {
    (void)state;
    struct rows r = {0}, shuffled;
    for (uint32_t i = 0; i < 900; i++) {
        add(&r, i * 7919 % 13 ? i * 31 % 17 : ASSOCIATION_NO_VARIANT, i * 271 % 101,
            (enum association_status)(i * 271 % 101 % 3));
    }
    shuffled = r;
    for (uint32_t i = 0; i < 900; i++) {
        uint32_t from = (i * 353 + 11) % 900;
        shuffled.variant[i] = r.variant[from];
        shuffled.patient[i] = r.patient[from];
        shuffled.status[i] = r.status[from];
    }
    struct association_options all = {.top = SIZE_MAX};
    struct association_result a = run(&r, 17, &all), b = run(&shuffled, 17, &all);
    assert_true(a.count > 5);
    assert_int_equal(a.count, b.count);
    for (size_t k = 0; k < a.count; k++) {
        assert_int_equal(a.rows[k].variant, b.rows[k].variant);
        assert_true(a.rows[k].frequency_difference == b.rows[k].frequency_difference);
        assert_true(a.rows[k].fisher.p.p == b.rows[k].fisher.p.p);
    }
    association_free(&a);
    association_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_rounded_half_away_from_zero_from_the_integers),
        cmocka_unit_test(a_negative_difference_rounds_away_from_zero_too),
        cmocka_unit_test(repeated_rows_count_a_patient_once),
        cmocka_unit_test(patients_of_unknown_status_are_left_out),
        cmocka_unit_test(a_side_below_min_patients_is_absent_and_a_variant_absent_on_both_is_left_out),
        cmocka_unit_test(equal_differences_rank_by_variant),
        cmocka_unit_test(only_the_top_is_returned),
        cmocka_unit_test(no_rows_and_no_healthy_patients_are_answered),
        cmocka_unit_test(the_order_of_rows_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
