/* Fisher's exact test: the hypergeometric distribution of a 2x2 table with fixed margins, its two-sided p
 * value, and the odds ratio with the distribution tilted by it.
 *
 * Probabilities far out are reached without walking there: the observed table's probability comes from Loader's form
 * of the binomial, and the rest of its tail from ratios of neighbours, which decrease quickly.
 */
#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "workers/jobs/model/distributions.h"

/* Terms below this part of the sum so far end it. */
#define NEGLIGIBLE 1e-20L
/* Two tables are equally likely when their probabilities differ by less than this part. */
#define TIE 1e-7L
/* |log odds ratio| beyond this is not looked for. */
#define LOG_ODDS_MAX 700.0L

/* The table with first cell k, given its margins. */
struct margins {
    int64_t row1, row2, column1;
    int64_t low, high; /* the smallest and largest k */
};

/* P(k+1) / P(k) for odds ratio 1. */
static long double ratio_up(const struct margins *m, int64_t k) {
    return (long double)(m->row1 - k) * (long double)(m->column1 - k) /
           ((long double)(k + 1) * (long double)(m->row2 - m->column1 + k + 1));
}

/* The most likely k when the odds ratio is omega: the first whose successor is less likely. */
static int64_t mode_of(const struct margins *m, long double omega) {
    int64_t low = m->low, high = m->high;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (omega * ratio_up(m, middle) > 1)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static long double log_probability(const struct margins *m, int64_t k) {
    long double q = (long double)m->column1 / (long double)(m->row1 + m->row2);
    return log_binomial(k, m->row1, q) + log_binomial(m->column1 - k, m->row2, q) -
           log_binomial(m->column1, m->row1 + m->row2, q);
}

/* Sum of P(k), P(k+step), ... over P(k), away from the mode. */
static long double tail_over_first(const struct margins *m, int64_t k, int step) {
    long double term = 1, sum = 1;
    assert(m->low <= k && k <= m->high);
    while (step > 0 ? k < m->high : k > m->low) {
        term *= step > 0 ? ratio_up(m, k) : 1 / ratio_up(m, k - 1);
        sum += term;
        k += step;
        if (term < sum * NEGLIGIBLE) break;
    }
    return sum;
}

/* On the other side of the mode, the first k (going out) that is no more likely than log_p; false when
 * there is none. */
static bool opposite(const struct margins *m, int64_t mode, int step, long double log_p, int64_t *k) {
    int64_t near = mode, far = step > 0 ? m->high : m->low;
    if (log_probability(m, far) > log_p + TIE) return false;
    while (near != far) {
        int64_t middle = step > 0 ? near + (far - near) / 2 : near - (near - far) / 2;
        if (log_probability(m, middle) <= log_p + TIE)
            far = middle;
        else
            near = middle + step;
    }
    *k = near;
    return true;
}

static struct tail two_sided(const struct margins *m, int64_t observed) {
    int64_t mode = mode_of(m, 1), other;
    long double log_p = log_probability(m, observed);
    if (observed == mode || log_p + TIE >= log_probability(m, mode)) return (struct tail){1, 0};
    int away = observed < mode ? -1 : 1;
    long double sum = tail_over_first(m, observed, away);
    if (opposite(m, mode, -away, log_p, &other)) {
        sum += expl(log_probability(m, other) - log_p) * tail_over_first(m, other, -away);
    }
    long double log_sum = log_p + logl(sum);
    if (log_sum > 0) log_sum = 0;
    return (struct tail){(double)expl(log_sum), (double)(log_sum / logl(10))};
}

/* ---- the odds ratio ---------------------------------------------------------------------------------- */

/* The table's distribution when the odds ratio is omega. */
struct tilted {
    long double mean_less_observed; /* E(K) - observed */
    long double at_least, at_most;  /* P(K >= observed), P(K <= observed) */
};

struct sums {
    long double total, moment, at_least, at_most;
};

static void add_term(struct sums *s, long double weight, int64_t k, int64_t observed) {
    s->total += weight;
    s->moment += weight * (long double)(k - observed);
    if (k >= observed) s->at_least += weight;
    if (k <= observed) s->at_most += weight;
}

static struct tilted tilt(const struct margins *m, int64_t observed, long double omega) {
    struct sums s = {0};
    int64_t mode = mode_of(m, omega);
    long double weight = 1;
    add_term(&s, weight, mode, observed);
    for (int64_t k = mode; k < m->high && weight > s.total * NEGLIGIBLE; k++) {
        weight *= omega * ratio_up(m, k);
        add_term(&s, weight, k + 1, observed);
    }
    weight = 1;
    for (int64_t k = mode; k > m->low && weight > s.total * NEGLIGIBLE; k--) {
        weight /= omega * ratio_up(m, k - 1);
        add_term(&s, weight, k - 1, observed);
    }
    return (struct tilted){s.moment / s.total, s.at_least / s.total, s.at_most / s.total};
}

enum equation { MEAN_IS_OBSERVED, AT_LEAST_IS, AT_MOST_IS };

struct odds_problem {
    const struct margins *m;
    int64_t observed;
    enum equation equation;
    long double level;
};

/* Rises with the log odds ratio, and is 0 at the solution. */
static long double odds_value(const struct odds_problem *p, long double log_omega) {
    struct tilted t = tilt(p->m, p->observed, expl(log_omega));
    if (p->equation == AT_LEAST_IS) return t.at_least - p->level;
    if (p->equation == AT_MOST_IS) return p->level - t.at_most;
    return t.mean_less_observed;
}

/* Ridders' method between low and high, where the value is negative and positive. */
static long double odds_between(const struct odds_problem *p, long double low, long double high,
                                long double value_low, long double value_high) {
    long double x = low, last = high;
    for (int step = 0; step < 100 && fabsl(x - last) > 1e-15L; step++) {
        long double middle = (low + high) / 2, value = odds_value(p, middle);
        long double root = sqrtl(value * value - value_low * value_high);
        if (!(root > 0)) return middle;
        last = x;
        x = middle - (middle - low) * value / root;
        long double value_x = odds_value(p, x);
        if (value <= 0) low = middle, value_low = value;
        if (value > 0) high = middle, value_high = value;
        if (value_x <= 0 && x > low) low = x, value_low = value_x;
        if (value_x > 0 && x < high) high = x, value_high = value_x;
    }
    return x;
}

static double odds_solve(const struct odds_problem *p, long double start) {
    long double low = start - 0.5L, high = start + 0.5L;
    long double value_low = odds_value(p, low), value_high = odds_value(p, high);
    for (long double step = 1; value_low > 0 && low > -LOG_ODDS_MAX; step *= 2) {
        high = low, value_high = value_low;
        low -= step, value_low = odds_value(p, low);
    }
    for (long double step = 1; value_high < 0 && high < LOG_ODDS_MAX; step *= 2) {
        low = high, value_low = value_high;
        high += step, value_high = odds_value(p, high);
    }
    return (double)expl(odds_between(p, low, high, value_low, value_high));
}

static void estimate_odds(struct fisher *f, const struct margins *m, int64_t observed, double confidence) {
    /* Half a count in each cell keeps the starting point finite. */
    long double cell[4] = {(long double)observed, (long double)(m->row1 - observed),
                           (long double)(m->column1 - observed),
                           (long double)(m->row2 - m->column1 + observed)};
    long double start = logl((cell[0] + 0.5L) / (cell[1] + 0.5L) * ((cell[3] + 0.5L) / (cell[2] + 0.5L)));
    struct odds_problem p = {m, observed, MEAN_IS_OBSERVED, (1 - (long double)confidence) / 2};
    bool least = observed == m->low, most = observed == m->high;
    if (least && most) return;
    f->odds_ratio = least ? 0 : most ? (double)INFINITY : odds_solve(&p, start);
    p.equation = AT_LEAST_IS;
    if (!least) f->conf_low = odds_solve(&p, start);
    p.equation = AT_MOST_IS;
    if (!most) f->conf_high = odds_solve(&p, start);
}

struct fisher fisher_exact(uint32_t a, uint32_t b, uint32_t c, uint32_t d, double confidence) {
    struct margins m = {.row1 = (int64_t)a + b, .row2 = (int64_t)c + d, .column1 = (int64_t)a + c};
    m.low = m.column1 > m.row2 ? m.column1 - m.row2 : 0;
    m.high = m.column1 < m.row1 ? m.column1 : m.row1;
    assert(m.low <= a && a <= m.high);
    struct fisher f = {.odds_ratio = NAN, .conf_low = 0, .conf_high = INFINITY};
    f.p = m.low == m.high ? (struct tail){1, 0} : two_sided(&m, a);
    estimate_odds(&f, &m, a, confidence);
    return f;
}
