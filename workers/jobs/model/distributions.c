/* Tails by the incomplete beta and gamma functions; quantiles by inverting them; Fisher's exact test.
 *
 * A tail is (power factor) x (series or fraction), all in long double, and the factor is where accuracy is
 * won or lost: its exponent is formed from deviances a log(a/m) + m - a, in which large parameters do not
 * cancel.
 */
#include "workers/jobs/model/distributions.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define LN10 2.302585092994045684017991454684364208L
#define ROOT_1_2PI 0.398942280401432677939946059934381868L /* 1 / sqrt(2 pi) */
#define HALF_LOG_2PI 0.918938533204672741780329736405617640L
/* Fractions and series stop here; far below what a double shows. */
#define TERM_EPS 1e-18L

static const struct tail tail_undefined = {NAN, NAN};

/* A probability and its natural logarithm, each as exact as it can be: near 1 the logarithm, near 0 both. */
struct probability {
    long double p, log_p;
};

static const struct probability certain = {1, 0}, impossible = {0, -INFINITY};

static struct tail tail_of(struct probability p) {
    return (struct tail){(double)fminl(p.p, 1), (double)(fminl(p.log_p, 0) / LN10)};
}

/* scale * exp(exponent), and one minus that. */
static struct probability from_product(long double scale, long double exponent) {
    long double p = scale * expl(exponent);
    return (struct probability){p, p > LDBL_MIN ? logl(p) : logl(scale) + exponent};
}

static struct probability from_complement(long double scale, long double exponent) {
    long double rest = scale * expl(exponent);
    return (struct probability){1 - rest, log1pl(-rest)};
}

/* ---- power factors ----------------------------------------------------------------------------------- */

/* Stirling errors of 1/2, 1, 3/2, ... 31/2, as given by 40-digit arithmetic: degrees of freedom and counts lead to
 * half-integers. */
static const long double half_integer_errors[] = {
    0.1534264097200273452913839L,   0.08106146679532725821967026L,  0.0548141210519176538961387L,
    0.04134069595540929409382208L,  0.03316287351993628748511051L,  0.02767792568499833914878929L,
    0.02374616365629749597133028L,  0.02079067210376509311152277L,  0.01848845053267318523077936L,
    0.01664469118982119216319487L,  0.01513497322191737887351384L,  0.01387612882307074799874573L,
    0.01281046524292022692425066L,  0.01189670994589177009505572L,  0.01110455975820691732663076L,
    0.01041126526197209649747857L,  0.009799416126158803298390373L, 0.009255462182712732917728637L,
    0.008768700134139385462955047L, 0.008330563433362871256469319L, 0.007934114564314020547249562L,
    0.007573675487951840794972024L, 0.007244554301320383179546197L, 0.006942840107209529865664153L,
    0.006665247032707682442356181L, 0.006408994188004207068439631L, 0.006171712263039457647534605L,
    0.005951370112758847735624416L, 0.005746216513010115682026102L, 0.00555473355196280137103869L,
    0.00537559903292683449364172L};

/* log Gamma(z) - ((z - 1/2) log z - z + log(2 pi)/2), for z > 0: what Stirling's formula leaves out. */
static long double stirling_error(long double z) {
    static const long double coefficient[] = {1 / 12.0L,   -1 / 360.0L,      1 / 1260.0L, -1 / 1680.0L,
                                              1 / 1188.0L, -691 / 360360.0L, 1 / 156.0L};
    assert(z > 0);
    if (z < 16) {
        if (2 * z == floorl(2 * z)) return half_integer_errors[(size_t)(2 * z) - 1];
        /* Gamma(z) = Gamma(z+1)/z keeps tiny z from overflowing. */
        return logl(tgammal(z + 1)) - ((z + 0.5L) * logl(z) - z + HALF_LOG_2PI);
    }
    long double sum = 0, z2 = 1 / (z * z);
    for (size_t i = sizeof coefficient / sizeof *coefficient; i-- > 0;) sum = sum * z2 + coefficient[i];
    return sum / z;
}

/* a log(a/m) + m - a >= 0, for a > 0, m >= 0. */
static long double deviance(long double a, long double m) {
    long double u = (m - a) / a;
    if (fabsl(u) > 0.5L) return a * logl(a / m) + (m - a);
    return a * (u - log1pl(u));
}

/* x^a y^b Gamma(a+b) / (Gamma(a) Gamma(b)), where x + y = 1, is beta_scale times exp(beta_exponent). */
static long double beta_scale(long double a, long double b) {
    return sqrtl(a / (a + b) * b) * ROOT_1_2PI;
}

static long double beta_exponent(long double a, long double b, long double x, long double y) {
    long double n = a + b;
    return stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) -
           deviance(b, n * y);
}

long double log_binomial(int64_t k, int64_t n, long double q) {
    long double x = (long double)k, y = (long double)(n - k), size = (long double)n;
    assert(k >= 0 && k <= n && q > 0 && q < 1);
    if (k == 0) return size * log1pl(-q);
    if (k == n) return size * logl(q);
    return 0.5L * logl(size / (x * y)) - HALF_LOG_2PI + stirling_error(size) - stirling_error(x) -
           stirling_error(y) - deviance(x, size * q) - deviance(y, size * (1 - q));
}

/* ---- incomplete beta and gamma ----------------------------------------------------------------------- */

/* The coefficients d[2m-1] and d[2m] of the continued fraction 1/(1+ d[1]/(1+ d[2]/(1+ ...))) of I_x(a,b)
 * (DLMF 8.17.22). */
struct pair {
    long double odd, even;
};

static struct pair beta_coefficients(long double a, long double b, long double x, long double m) {
    long double at = a + 2 * m;
    long double r = x / ((at - 2) * (at - 1) * at);
    /* d[2m-1] = -(a+m-1)(a+b+m-1)x / ((a+2m-2)(a+2m-1)), d[2m] = m(b-m)x / ((a+2m-1)(a+2m)) */
    return (struct pair){-(a + m - 1) * (a + b + m - 1) * r * at, m * (b - m) * r * (at - 2)};
}

/* That fraction, contracted to its even part, by the forward recurrence of numerators and denominators: half
 * the steps and a third of the divisions of Lentz's method. Converges fast for x < (a+1)/(a+b+2), in about
 * sqrt(max(a,b)) steps at worst. */
static long double beta_fraction(long double a, long double b, long double x) {
    struct pair d = beta_coefficients(a, b, x, 1);
    long double numerator[2] = {0, 1}, denominator[2] = {1, 1 + d.odd}; /* the last but one, the last */
    long double value = numerator[1] / denominator[1];
    for (long double m = 1; m < 1e7L; m++) {
        struct pair next = beta_coefficients(a, b, x, m + 1);
        long double top = -d.odd * d.even, bottom = 1 + d.even + next.odd;
        long double n = bottom * numerator[1] + top * numerator[0];
        long double q = bottom * denominator[1] + top * denominator[0];
        long double scale = 1 / q, before = value;
        value = n * scale;
        if (fabsl(value - before) <= TERM_EPS * fabsl(value)) break;
        numerator[0] = numerator[1] * scale;
        denominator[0] = denominator[1] * scale;
        numerator[1] = value;
        denominator[1] = 1;
        d = next;
    }
    return value;
}

/* I_x(a,b), where y = 1 - x is given as well so that neither loses digits. */
static struct probability beta_tail(long double a, long double b, long double x, long double y) {
    if (!(x > 0)) return impossible;
    if (!(y > 0)) return certain;
    long double scale = beta_scale(a, b), exponent = beta_exponent(a, b, x, y);
    if (x < (a + 1) / (a + b + 2)) return from_product(scale * beta_fraction(a, b, x) / a, exponent);
    return from_complement(scale * beta_fraction(b, a, y) / b, exponent);
}

static long double gamma_series(long double a, long double x) {
    long double term = 1 / a, sum = term;
    for (long double k = 1; term > sum * TERM_EPS; k++) {
        term *= x / (a + k);
        sum += term;
    }
    return sum;
}

static long double gamma_fraction(long double a, long double x) {
    const long double tiny = LDBL_MIN / LDBL_EPSILON;
    long double b = x + 1 - a, c = 1 / tiny, d = 1 / b, h = d;
    for (long double k = 1; k < 1e7L; k++) {
        long double an = -k * (k - a);
        b += 2;
        d = an * d + b;
        c = b + an / c;
        if (fabsl(d) < tiny) d = tiny;
        if (fabsl(c) < tiny) c = tiny;
        d = 1 / d;
        long double change = d * c;
        h *= change;
        if (fabsl(change - 1) < TERM_EPS) break;
    }
    return h;
}

/* Q(a,x), the upper incomplete gamma ratio; x^a e^-x / Gamma(a) is the power factor here. */
static struct probability gamma_tail(long double a, long double x) {
    if (!(x > 0)) return certain;
    if (isinf(x)) return impossible;
    long double scale = sqrtl(a) * ROOT_1_2PI, exponent = -stirling_error(a) - deviance(a, x);
    if (x < a + 1) return from_complement(scale * gamma_series(a, x), exponent);
    return from_product(scale * gamma_fraction(a, x), exponent);
}

/* ---- tails ------------------------------------------------------------------------------------------- */

static struct probability normal_tail(long double x) {
    if (x < 0.5L) {
        long double inside = erfl(x * sqrtl(0.5L));
        return (struct probability){1 - inside, log1pl(-inside)};
    }
    if (x < 40) {
        long double p = erfcl(x * sqrtl(0.5L));
        return (struct probability){p, logl(p)};
    }
    /* The asymptotic series, whose first terms are enough from here on. */
    long double i = 1 / (x * x);
    long double series = 1 - i * (1 - 3 * i * (1 - 5 * i * (1 - 7 * i * (1 - 9 * i * (1 - 11 * i)))));
    return from_product(2 * ROOT_1_2PI * series / x, -x * x / 2);
}

/* The normal deviate that leaves the same tail as t does, for many degrees of freedom (Hill 1970, to the
 * second order in 1/n). */
static long double student_to_normal(long double t, long double n) {
    long double a = n - 0.5L, b = 48 * a * a;
    long double w = sqrtl(a * log1pl(t * t / n));
    return w + w * (w * w + 3) / b;
}

static struct probability student_tail(long double t, long double n) {
    if (isinf(n)) return normal_tail(t);
    if (n > STUDENT_NORMAL_FROM && t < 30) return normal_tail(student_to_normal(t, n));
    long double t2 = t * t;
    return beta_tail(n / 2, 0.5L, n / (n + t2), t2 / (n + t2));
}

struct tail normal_two_sided(double z) {
    return student_two_sided(z, INFINITY);
}

struct tail student_two_sided(double t, double df) {
    if (isnan(t) || !(df > 0)) return tail_undefined;
    if (isinf(t)) return (struct tail){0, -INFINITY};
    return tail_of(student_tail(fabsl((long double)t), df));
}

struct tail f_upper(double f, double df1, double df2) {
    if (isnan(f) || !(df1 > 0) || !(df2 > 0)) return tail_undefined;
    if (f <= 0) return (struct tail){1, 0};
    if (isinf(f)) return (struct tail){0, -INFINITY};
    if (isinf(df2)) return chi_square_upper(f * df1, df1);
    long double u = (long double)f * df1, n = u + df2;
    return tail_of(beta_tail((long double)df2 / 2, (long double)df1 / 2, df2 / n, u / n));
}

struct tail chi_square_upper(double x, double df) {
    if (isnan(x) || !(df > 0)) return tail_undefined;
    return tail_of(gamma_tail((long double)df / 2, (long double)x / 2));
}

/* ---- quantiles --------------------------------------------------------------------------------------- */

/* d log P(|T| >= t) / d log t, given that log P. */
static long double student_slope(long double t, long double n, long double log_p) {
    long double t2 = t * t;
    if (n > STUDENT_NORMAL_FROM) return -t * 2 * ROOT_1_2PI * expl(-t2 / 2 - log_p);
    return -2 * beta_scale(n / 2, 0.5L) *
           expl(beta_exponent(n / 2, 0.5L, n / (n + t2), t2 / (n + t2)) - log_p);
}

/* A first guess: Hastings' rational approximation for the normal (Abramowitz and Stegun 26.2.23, good to
 * 5e-4), carried over to Student's t by Wallace's transformation. */
static long double student_guess(long double log_p, long double n) {
    long double s = sqrtl(-2 * (log_p - logl(2)));
    long double z = s - (2.515517L + 0.802853L * s + 0.010328L * s * s) /
                            (1 + 1.432788L * s + 0.189269L * s * s + 0.001308L * s * s * s);
    if (z < 1e-3L) z = 1e-3L;
    if (n > STUDENT_NORMAL_FROM) return z;
    z *= (8 * n + 3) / (8 * n + 1);
    long double exponent = z * z / n;
    return exponent > 1000 ? expl(500) : sqrtl(n * expm1l(exponent));
}

/* The t > 0 with log P(|T| >= t) = log_p < 0: Newton in the logarithms of both, where the tail is concave and
 * nearly straight, kept inside a bracket by bisection. */
static long double student_solve(long double log_p, long double n) {
    long double low = -800, high = 800, u = logl(student_guess(log_p, n));
    for (int step = 0; step < 100; step++) {
        long double t = expl(u), at = student_tail(t, n).log_p;
        if (at > log_p)
            low = u;
        else
            high = u;
        long double next = u - (at - log_p) / student_slope(t, n, at);
        /* Convergence is quadratic: after a step this small the next would be below 1e-19. */
        if (fabsl(next - u) < 1e-10L) return expl(next);
        u = next > low && next < high ? next : (low + high) / 2;
    }
    return expl(u);
}

double normal_quantile(double p) {
    return student_quantile(p, INFINITY);
}

double student_quantile(double p, double df) {
    if (!(p > 0 && p < 1) || !(df > 0)) return NAN;
    if (p == 0.5) return 0;
    long double outside = p < 0.5 ? 2 * (long double)p : 2 * (1 - (long double)p);
    long double t = student_solve(logl(outside), df);
    return (double)(p < 0.5 ? -t : t);
}
