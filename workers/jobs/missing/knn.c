/*
 * missing_knn: the nearest-neighbour policy of missing.h.
 *
 * Coordinates are laid out row by row. For each row with a gap the distances to all rows are computed once,
 * directly (never as a² - 2ab + b², which cancels), and serve all of its gaps. A sum of squares that double cannot hold
 * is taken again in long double.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "workers/jobs/missing/missing.h"

struct knn {
    const struct table *t;
    const struct missing_plan *plan;
    const uint32_t *rows;
    size_t n_rows, m;
    double *points;   /* n_rows x m, NAN where missing */
    double *distance; /* from the current row; NAN: no coordinate in common */
    struct donor *best;
};

struct donor {
    double distance;
    size_t i; /* in rows: the tie breaker */
};

/* 1 unless standardising: then the population standard deviation of the observed (1 when they do not vary). */
static double column_scale(const struct knn *knn, const struct table_column *column) {
    double mean;
    if (!knn->plan->options.standardise || !missing_mean(column, knn->rows, knn->n_rows, &mean)) return 1;
    long double squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < knn->n_rows; i++) {
        size_t row = missing_row(knn->rows, i);
        if (table_is_missing(column, row)) continue;
        long double away = (long double)table_number(column, row) - mean;
        squares += away * away;
        n++;
    }
    double sd = (double)sqrtl(squares / n);
    return sd > 0 ? sd : 1;
}

/* Where differences of the largest coordinates may be no doubles, all are divided by one power of two, which changes no
 * order and no weight. */
static void bring_into_range(struct knn *knn) {
    double most = 0;
    for (size_t i = 0; i < knn->n_rows * knn->m; i++)
        most = fmax(most, fabs(knn->points[i])); /* not of NAN */
    for (size_t i = 0; i < knn->n_rows * knn->m && most > 0x1p900; i++) knn->points[i] *= 0x1p-200;
}

static void lay_out_points(struct knn *knn) {
    for (size_t j = 0; j < knn->m; j++) {
        const struct table_column *column = &knn->t->columns[knn->plan->predictors[j]];
        double scale = column_scale(knn, column);
        for (size_t i = 0; i < knn->n_rows; i++) {
            knn->points[i * knn->m + j] = table_number(column, missing_row(knn->rows, i)) / scale;
        }
    }
}

/* Of points so near or far that the squares may have underflowed or overflowed. */
static double far_distance(const double *x, const double *y, size_t m, size_t common) {
    long double sum = 0;
    for (size_t j = 0; j < m; j++) {
        long double away = (long double)x[j] - y[j];
        if (!isnan(away)) sum += away * away;
    }
    return (double)sqrtl((long double)m / (long double)common * sum);
}

static double distance_between(const struct knn *knn, size_t a, size_t b) {
    const double *x = knn->points + a * knn->m, *y = knn->points + b * knn->m;
    double sum = 0;
    size_t common = 0;
    for (size_t j = 0; j < knn->m; j++) {
        double away = x[j] - y[j];
        if (isnan(away)) continue;
        sum += away * away;
        common++;
    }
    if (common == 0) return NAN;
    if (!(sum > 0x1p-900 && sum < 0x1p900)) return far_distance(x, y, knn->m, common);
    return sqrt((double)knn->m / (double)common * sum);
}

/* The k nearest donors, nearest first; returns how many there are. Rows come sorted, so a tie stays
 * behind. */
static size_t nearest_donors(struct knn *knn, const struct table_column *column) {
    size_t n = 0, k = knn->plan->options.k;
    for (size_t i = 0; i < knn->n_rows; i++) {
        double d = knn->distance[i];
        if (isnan(d) || (n == k && d >= knn->best[n - 1].distance)) continue;
        if (table_is_missing(column, missing_row(knn->rows, i))) continue;
        size_t at = n < k ? n++ : n - 1;
        for (; at > 0 && knn->best[at - 1].distance > d; at--) knn->best[at] = knn->best[at - 1];
        assert(n <= k && (at == 0 || knn->best[at - 1].distance <= d));
        knn->best[at] = (struct donor){d, i};
    }
    return n;
}

static double donors_mean(const struct knn *knn, const struct table_column *column, size_t n) {
    bool distance = knn->plan->options.distance, on_spot = knn->best[0].distance == 0;
    long double sum = 0, weights = 0;
    assert(n > 0 && n <= knn->plan->options.k);
    for (size_t i = 0; i < n; i++) {
        long double weight = 1;
        if (distance) weight = on_spot ? knn->best[i].distance == 0 : 1 / (long double)knn->best[i].distance;
        sum += weight * table_number(column, missing_row(knn->rows, knn->best[i].i));
        weights += weight;
    }
    return (double)(sum / weights);
}

static bool is_gap(const struct knn *knn, size_t column, size_t row) {
    return knn->plan->policy[column] == MISSING_KNN && knn->t->columns[column].number &&
           table_is_missing(&knn->t->columns[column], row);
}

static bool fill_row(struct knn *knn, size_t i, struct missing_result *result) {
    size_t row = missing_row(knn->rows, i);
    bool measured = false;
    for (size_t at = 0; at < knn->plan->n_columns; at++) {
        if (!is_gap(knn, at, row) || !result->fills[at].known) continue;
        for (size_t j = 0; j < knn->n_rows && !measured; j++) knn->distance[j] = distance_between(knn, i, j);
        measured = true;
        const struct table_column *column = &knn->t->columns[at];
        size_t n = nearest_donors(knn, column);
        if (n == 0) continue; /* no donor: the column's mean, which is in `fills` */
        struct missing_cell cell = {(uint32_t)at, (uint32_t)row, donors_mean(knn, column, n), 0};
        if (!missing_add_cell(result, cell)) return false;
    }
    return true;
}

bool missing_knn(const struct table *t, const struct missing_plan *plan, const uint32_t *rows, size_t n_rows,
                 struct missing_result *result, struct jobs_error *error) {
    struct knn knn = {.t = t, .plan = plan, .rows = rows, .n_rows = n_rows, .m = plan->n_predictors};
    if (knn.m == 0) return true;
    knn.points = malloc((n_rows * knn.m + 1) * sizeof(double));
    knn.distance = malloc((n_rows + 1) * sizeof(double));
    knn.best = malloc((plan->options.k + 1) * sizeof *knn.best);
    bool good = knn.points && knn.distance && knn.best;
    if (good) {
        lay_out_points(&knn);
        bring_into_range(&knn);
    }
    for (size_t i = 0; i < n_rows && good; i++) good = fill_row(&knn, i, result);
    free(knn.best);
    free(knn.distance);
    free(knn.points);
    return good || jobs_fail_memory(error, "finding nearest rows");
}
