/* Expression per patient and gene. */
#include "tests/unit/support/jobs_reference.h"
#include "workers/jobs/model/log2sum.h"

/* Transcripts 0 and 1 are gene 0's, 2 is gene 1's and gene 2's, 3 has no gene. One pair is repeated. */
static const uint32_t map_transcripts[] = {2, 0, 1, 2, 0};
static const uint32_t map_genes[] = {2, 0, 0, 1, 0};

static struct log2sum_map map;

static int set_up(void **state) {
    (void)state;
    return log2sum_map_build(&map, map_transcripts, map_genes, 5, 4, 3) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    log2sum_map_free(&map);
    return 0;
}

static struct log2sum_result run(const uint32_t *patient, const uint32_t *transcript, const double *tpm,
                                 size_t rows, bool null_as_zero) {
    struct log2sum_result result;
    struct log2sum_input input = {patient, transcript, tpm, rows, 8, null_as_zero};
    assert_int_equal(log2sum_run(&map, &input, &result), LOG2SUM_OK);
    return result;
}

static void the_map_is_sorted_without_repeats(void **state) {
    (void)state;
    const size_t offsets[] = {0, 1, 2, 4, 4};
    const uint32_t genes[] = {0, 0, 1, 2};
    assert_memory_equal(map.offsets, offsets, sizeof offsets);
    assert_memory_equal(map.genes, genes, sizeof genes);
}

static void sums_come_first_and_the_logarithm_after(void **state) {
    (void)state;
    const uint32_t patient[] = {5, 0, 5, 0}, transcript[] = {0, 1, 1, 2};
    const double tpm[] = {3, 1, 4, 0};
    struct log2sum_result r = run(patient, transcript, tpm, 4, false);
    assert_int_equal(r.count, 4);
    const struct log2sum_row expected[] = {{0, 0, 1}, {0, 1, 0}, {0, 2, 0}, {5, 0, 3}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r.rows[i].patient, expected[i].patient);
        assert_int_equal(r.rows[i].gene, expected[i].gene);
        assert_true(r.rows[i].log2_tpm == expected[i].log2_tpm);
    }
    log2sum_free(&r);
}

static void small_sums_keep_their_digits(void **state) {
    (void)state;
    const uint32_t patient[] = {0}, transcript[] = {0};
    const double tpm[] = {1e-20};
    struct log2sum_result r = run(patient, transcript, tpm, 1, false);
    assert_close(r.rows[0].log2_tpm, 1e-20 / log(2), 1e-15);
    log2sum_free(&r);
}

static void missing_values_are_ignored_and_all_missing_is_missing(void **state) {
    (void)state;
    const uint32_t patient[] = {0, 0, 1, 1}, transcript[] = {0, 1, 0, 1};
    const double tpm[] = {NAN, 7, NAN, NAN};
    struct log2sum_result r = run(patient, transcript, tpm, 4, false);
    assert_int_equal(r.count, 2);
    assert_true(r.rows[0].log2_tpm == 3);
    assert_true(isnan(r.rows[1].log2_tpm));
    assert_int_equal(r.missing_rows, 3);
    log2sum_free(&r);
    r = run(patient, transcript, tpm, 4, true);
    assert_true(r.rows[0].log2_tpm == 3 && r.rows[1].log2_tpm == 0);
    log2sum_free(&r);
}

static void unmapped_transcripts_are_left_out_and_counted(void **state) {
    (void)state;
    const uint32_t patient[] = {0, 1, 2}, transcript[] = {3, 3, 0};
    const double tpm[] = {1, 2, 1};
    struct log2sum_result r = run(patient, transcript, tpm, 3, false);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.unmapped_rows, 2);
    assert_int_equal(r.unmapped_transcripts, 1);
    log2sum_free(&r);
}

static void negative_and_infinite_values_are_named_by_row(void **state) {
    (void)state;
    const uint32_t patient[] = {0, 1, 2}, transcript[] = {0, 3, 0};
    const double bad[] = {-0.001, INFINITY};
    for (size_t k = 0; k < 2; k++) {
        double tpm[] = {1, bad[k], -5};
        struct log2sum_result r;
        struct log2sum_input input = {patient, transcript, tpm, 3, 3, false};
        assert_int_equal(log2sum_run(&map, &input, &r), LOG2SUM_BAD_TPM);
        assert_int_equal(r.bad_row, 1);
        assert_null(r.rows);
    }
}

static void the_order_of_rows_changes_no_bit(void **state) {
    (void)state;
    enum { ROWS = 600 };
    uint32_t patient[2][ROWS], transcript[2][ROWS];
    double tpm[2][ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        patient[0][i] = i % 4;
        transcript[0][i] = i / 4 % 4;
        tpm[0][i] = i % 29 == 0 ? (double)NAN : exp(40 * sin(i * 1.3));
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t from = (i * 217 + 5) % ROWS;
        patient[1][i] = patient[0][from];
        transcript[1][i] = transcript[0][from];
        tpm[1][i] = tpm[0][from];
    }
    struct log2sum_result a = run(patient[0], transcript[0], tpm[0], ROWS, false);
    struct log2sum_result b = run(patient[1], transcript[1], tpm[1], ROWS, false);
    assert_int_equal(a.count, 12);
    assert_int_equal(b.count, 12);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(a.rows[i].patient, b.rows[i].patient);
        assert_int_equal(a.rows[i].gene, b.rows[i].gene);
        assert_memory_equal(&a.rows[i].log2_tpm, &b.rows[i].log2_tpm, sizeof(double));
    }
    log2sum_free(&a);
    log2sum_free(&b);
}

static void no_rows_give_no_rows(void **state) {
    (void)state;
    struct log2sum_result r = run(NULL, NULL, NULL, 0, false);
    assert_int_equal(r.count, 0);
    log2sum_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_is_sorted_without_repeats),
        cmocka_unit_test(sums_come_first_and_the_logarithm_after),
        cmocka_unit_test(small_sums_keep_their_digits),
        cmocka_unit_test(missing_values_are_ignored_and_all_missing_is_missing),
        cmocka_unit_test(unmapped_transcripts_are_left_out_and_counted),
        cmocka_unit_test(negative_and_infinite_values_are_named_by_row),
        cmocka_unit_test(the_order_of_rows_changes_no_bit),
        cmocka_unit_test(no_rows_give_no_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
