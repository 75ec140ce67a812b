/* A made-up social graph, one follower at a time. */
#include <math.h>
#include <stdlib.h>

#include "graph.h"

/* Spread of how many an account follows: with 1, a tenth follows more than three times the median. */
#define FOLLOWS_SIGMA 1.0
/* Draws for one follow before it is given up: when an account already follows nearly everybody it would draw. */
#define MAX_DRAWS 200

struct synthetic {
    struct chance chance;
    int64_t accounts, most_follows, most_each;
    double average, skew;
    int64_t follower;   /* whose follows are being drawn; -1 before the first */
    int64_t left;       /* of them */
    uint32_t *drawn_by; /* for each account, the last follower (+ 1) that drew it */
};

struct synthetic *synthetic_new(int64_t accounts, double average_follows, double skew, uint64_t seed,
                                int64_t most_follows) {
    struct synthetic *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    *s = (struct synthetic){.chance = {seed}, .accounts = accounts, .average = average_follows, .skew = skew};
    s->follower = -1;
    s->most_each = accounts - 1 < most_follows ? accounts - 1 : most_follows;
    s->drawn_by = calloc((size_t)accounts, sizeof *s->drawn_by);
    if (s->drawn_by) return s;
    free(s);
    return NULL;
}

void synthetic_free(struct synthetic *s) {
    if (!s) return;
    free(s->drawn_by);
    free(s);
}

/* The inverse of the distribution function, taken as continuous: no table, whatever the number of accounts. */
static uint32_t draw(struct synthetic *s) {
    double n = (double)s->accounts, u = chance_unit(&s->chance), power = 1 - s->skew;
    double rank = fabs(power) < 1e-9 ? pow(n + 1, u) : pow((pow(n + 1, power) - 1) * u + 1, 1 / power);
    int64_t r = (int64_t)rank - 1;
    return (uint32_t)(r < 0 ? 0 : r >= s->accounts ? s->accounts - 1 : r);
}

static void next_follower(struct synthetic *s) {
    s->follower++;
    double mean = log(s->average) - FOLLOWS_SIGMA * FOLLOWS_SIGMA / 2;
    double wanted = round(exp(mean + FOLLOWS_SIGMA * chance_normal(&s->chance)));
    s->left = wanted > (double)s->most_each ? s->most_each : (int64_t)wanted;
}

static bool draw_new(struct synthetic *s, struct follow *out) {
    uint32_t mark = (uint32_t)s->follower + 1;
    for (int i = 0; i < MAX_DRAWS; i++) {
        uint32_t followee = draw(s);
        if (followee == (uint32_t)s->follower || s->drawn_by[followee] == mark) continue;
        s->drawn_by[followee] = mark;
        *out = (struct follow){(uint32_t)s->follower, followee};
        return true;
    }
    return false;
}

bool synthetic_next(struct synthetic *s, struct follow *out) {
    for (;;) {
        while (s->left == 0) {
            if (s->follower + 1 >= s->accounts) return false;
            next_follower(s);
        }
        s->left--;
        if (draw_new(s, out)) return true;
        s->left = 0;
    }
}
