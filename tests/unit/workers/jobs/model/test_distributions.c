/* Tails, quantiles and Fisher's test against 40-digit arithmetic. */
#include "tests/unit/support/jobs_reference.h"
#include "workers/jobs/model/distributions.h"

static void check_tail(struct tail tail, double p, double log10_p) {
    assert_close(tail.p, p, 1e-13);
    assert_close(tail.log10_p, log10_p, 1e-13);
}

static void student_tails_have_13_digits_from_one_degree_of_freedom_to_many(void **state) {
    (void)state;
    check_tail(student_two_sided(0.5, 1), 0.70483276469913345, -0.15191391561006296);
    check_tail(student_two_sided(-0.5, 1), 0.70483276469913345, -0.15191391561006296);
    check_tail(student_two_sided(2, 2.5), 0.15739149575796599, -0.80301873732108718);
    check_tail(student_two_sided(21.492831594717472, 149), 1.6587848048163613e-47, -46.780209951614405);
    check_tail(student_two_sided(2, 31), 0.054327215367175708, -1.2649825548901304);
    check_tail(student_two_sided(2, 500), 0.046040682769031443, -1.336858244542157);
    check_tail(student_two_sided(0.001, 7), 0.99923001724499884, -0.00033452806861371397);
    check_tail(student_two_sided(40, 12), 3.8512295807720338e-14, -13.414400591299226);
    check_tail(student_two_sided(1e6, 3), 2.2053155816792291e-18, -17.656529254007904);
    check_tail(student_two_sided(2, 99999), 0.045502963484502473, -1.3419603180010085);
    check_tail(student_two_sided(2, 250000), 0.045501343717740305, -1.3419757778355698);
    check_tail(student_two_sided(6, 100001), 1.979929387961348e-9, -8.7033502981049226);
}

static void normal_tails_keep_their_logarithm_after_underflow(void **state) {
    (void)state;
    check_tail(normal_two_sided(1.959963984540054), 0.050000000000000022, -1.301029995663981);
    check_tail(normal_two_sided(1e-6), 0.9999992021154392, -3.4651700019272691e-7);
    check_tail(normal_two_sided(8), 1.2441921148543568e-15, -14.905112555353173);
    assert_close(normal_two_sided(38).log10_p, -315.23875970829853, 1e-14);
    assert_close(normal_two_sided(60).log10_p, -783.60639916844673, 1e-14);
    assert_true(normal_two_sided(60).p == 0);
}

static void f_and_chi_square_tails_have_13_digits(void **state) {
    (void)state;
    check_tail(f_upper(17.69196518090144, 1, 149), 4.4654846458843618e-5, -4.3501313995725151);
    check_tail(f_upper(93.97175293234729, 1, 121), 8.5970078251795375e-17, -16.065652677957482);
    check_tail(f_upper(1.9272351912927839, 3, 69), 0.13324243038938312, -0.87535745422259366);
    check_tail(f_upper(0.1, 5, 2), 0.98211145618000168, -0.007839222949094971);
    check_tail(f_upper(3, 30, 4000), 8.3434079627882012e-8, -7.0786565204511737);
    check_tail(f_upper(1e6, 2, 9), 8.6985630865196031e-25, -24.060552482454425);
    check_tail(chi_square_upper(3.841458820694124, 1), 0.050000000000000057, -1.3010299956639807);
    check_tail(chi_square_upper(0.02, 1), 0.88753708398171511, -0.051813491757763288);
    check_tail(chi_square_upper(250, 200), 0.0093791316688260961, -2.0278373672598977);
    check_tail(chi_square_upper(1e4, 9e3), 3.0318018385490988e-13, -12.518299188012638);
    assert_close(chi_square_upper(2000, 3).log10_p, -432.74180985931968, 1e-14);
}

static void a_square_of_t_has_the_tail_of_f(void **state) {
    (void)state;
    for (double df = 1; df < 3e5; df = df * 1.7 + 1) {
        for (double t = 0.01; t < 25; t *= 2.3) {
            assert_close(student_two_sided(t, df).p, f_upper(t * t, 1, df).p, 1e-11);
        }
    }
}

static void quantiles_have_14_digits_and_invert_the_tails(void **state) {
    (void)state;
    assert_close(student_quantile(0.975, 1), 12.706204736174693, 1e-14);
    assert_close(student_quantile(0.975, 2), 4.3026527297494618, 1e-14);
    assert_close(student_quantile(0.975, 10), 2.2281388519862742, 1e-14);
    assert_close(student_quantile(0.995, 149), 2.6092279074478892, 1e-14);
    assert_close(student_quantile(0.9, 1e6), 1.2815524121299386, 1e-14);
    assert_close(student_quantile(0.25, 3), -0.76489232840434528, 1e-14);
    assert_close(student_quantile(0.9999, 33), 4.1822405358233185, 1e-14);
    assert_close(normal_quantile(0.975), 1.9599639845400539, 1e-14);
    assert_close(normal_quantile(0.6), 0.25334710313579974, 1e-14);
    assert_close(normal_quantile(1e-10), -6.3613409024040562, 1e-14);
    assert_true(normal_quantile(0.5) == 0);
    for (double df = 1; df < 1e6; df *= 7) {
        for (double p = 0.501; p < 1; p += 0.0497) {
            assert_close(student_two_sided(student_quantile(p, df), df).p, 2 * (1 - p), 1e-12);
        }
    }
}

static void the_binomial_has_its_textbook_values(void **state) {
    (void)state;
    assert_close((double)expl(log_binomial(3, 10, 0.5L)), 120 / 1024.0, 1e-15);
    assert_close((double)expl(log_binomial(0, 10, 0.5L)), 1 / 1024.0, 1e-15);
    assert_close((double)expl(log_binomial(10, 10, 0.5L)), 1 / 1024.0, 1e-15);
    long double sum = 0;
    for (int64_t k = 0; k <= 1000; k++) sum += expl(log_binomial(k, 1000, 0.3L));
    assert_close((double)sum, 1, 1e-15);
}

static void impossible_arguments_are_undefined(void **state) {
    (void)state;
    assert_true(isnan(student_two_sided(1, 0).p));
    assert_true(isnan(student_two_sided(NAN, 3).log10_p));
    assert_true(isnan(f_upper(1, -1, 3).p));
    assert_true(isnan(chi_square_upper(1, 0).p));
    assert_true(isnan(student_quantile(1, 3)));
    assert_true(isnan(normal_quantile(0)));
    assert_true(student_two_sided(INFINITY, 3).p == 0);
    assert_true(f_upper(0, 1, 3).p == 1);
    assert_true(f_upper(INFINITY, 1, 3).p == 0);
}

static void check_fisher(struct fisher f, double p, double log10_p, double odds, double low, double high) {
    check_tail(f.p, p, log10_p);
    assert_close(f.odds_ratio, odds, 1e-13);
    assert_close(f.conf_low, low, 1e-13);
    assert_close(f.conf_high, high, 1e-13);
}

static void fisher_agrees_with_exact_integers(void **state) {
    (void)state;
    check_fisher(fisher_exact(3, 1, 1, 3, 0.95), 0.48571428571428571, -0.31361912297200171,
                 6.4083196581996743, 0.21173559544657867, 626.24353058881347);
    check_fisher(fisher_exact(10, 2, 3, 15, 0.95), 0.0005367241191434358, -3.2702488880825529,
                 21.305317556750337, 2.7533827882493237, 301.46233797151626);
    check_fisher(fisher_exact(45, 35, 20, 60, 0.95), 9.7494498989655827e-5, -4.0110198881561912,
                 3.8225545816075154, 1.8748201955146061, 8.0114694647845133);
    check_fisher(fisher_exact(1000, 9000, 1200, 8800, 0.95), 6.8000242238084085e-6, -5.1674895401985307,
                 0.81482314629457802, 0.74467975868571899, 0.89144201441268856);
    struct fisher extreme = fisher_exact(2000, 1, 1, 2000, 0.95);
    assert_true(extreme.p.p == 0);
    assert_close(extreme.p.log10_p, -1195.9192927553461, 1e-14);
    assert_close(extreme.odds_ratio, 2396132.0060515908, 1e-12);
}

static void fisher_with_an_empty_cell_has_a_one_sided_interval(void **state) {
    (void)state;
    struct fisher f = fisher_exact(0, 5, 5, 0, 0.95);
    assert_close(f.p.p, 0.0079365079365079365, 1e-14);
    assert_true(f.odds_ratio == 0 && f.conf_low == 0);
    assert_close(f.conf_high, 0.43534120574505552, 1e-13);
    f = fisher_exact(5, 0, 0, 5, 0.95);
    assert_true(isinf(f.odds_ratio) && isinf(f.conf_high));
    assert_close(f.conf_low, 1 / 0.43534120574505552, 1e-13);
}

static void fisher_with_an_empty_margin_says_nothing(void **state) {
    (void)state;
    const uint32_t tables[][4] = {{0, 0, 3, 4}, {3, 4, 0, 0}, {0, 3, 0, 4}, {3, 0, 4, 0}, {0, 0, 0, 0}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct fisher f = fisher_exact(tables[i][0], tables[i][1], tables[i][2], tables[i][3], 0.95);
        assert_true(f.p.p == 1 && isnan(f.odds_ratio) && f.conf_low == 0 && isinf(f.conf_high));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(student_tails_have_13_digits_from_one_degree_of_freedom_to_many),
        cmocka_unit_test(normal_tails_keep_their_logarithm_after_underflow),
        cmocka_unit_test(f_and_chi_square_tails_have_13_digits),
        cmocka_unit_test(a_square_of_t_has_the_tail_of_f),
        cmocka_unit_test(quantiles_have_14_digits_and_invert_the_tails),
        cmocka_unit_test(the_binomial_has_its_textbook_values),
        cmocka_unit_test(impossible_arguments_are_undefined),
        cmocka_unit_test(fisher_agrees_with_exact_integers),
        cmocka_unit_test(fisher_with_an_empty_cell_has_a_one_sided_interval),
        cmocka_unit_test(fisher_with_an_empty_margin_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
