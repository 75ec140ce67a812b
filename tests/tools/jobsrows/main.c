/* jobsrows ROWS SLICES [SEED]: a CSV for measuring grouped fits, on standard output: slice,y,x1..x5 with ROWS rows in
 * no order, y a sum of the x and noise, four decimals each. The same numbers for the same arguments. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PREDICTORS 5
#define ROW_ROOM 256
#define BUFFER (1u << 20)

/* xorshift64, from "Xorshift RNGs" (Marsaglia 2003). */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static char *put_count(char *at, uint64_t number) {
    char digits[24];
    int n = 0;
    do digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n > 0) *at++ = digits[--n];
    return at;
}

/* Ten-thousandths. */
static char *put_decimal(char *at, int64_t number) {
    if (number < 0) *at++ = '-';
    uint64_t size = (uint64_t)(number < 0 ? -number : number);
    at = put_count(at, size / 10000);
    *at++ = '.';
    for (uint64_t place = 1000; place > 0; place /= 10) *at++ = (char)('0' + size / place % 10);
    return at;
}

static char *put_row(char *at, uint64_t slices, uint64_t *state) {
    int64_t x[PREDICTORS], y = (int64_t)(next_random(state) % 200000);
    at = put_count(at, next_random(state) % slices);
    for (int j = 0; j < PREDICTORS; j++) {
        x[j] = (int64_t)(next_random(state) % 2000001) - 1000000;
        y += x[j] * (j + 1) / 2;
    }
    *at++ = ',';
    at = put_decimal(at, y);
    for (int j = 0; j < PREDICTORS; j++) {
        *at++ = ',';
        at = put_decimal(at, x[j]);
    }
    *at++ = '\n';
    return at;
}

int main(int argc, char **argv) {
    static char buffer[BUFFER + ROW_ROOM];
    uint64_t rows = argc > 2 ? strtoull(argv[1], NULL, 10) : 0,
             slices = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t state = 88172645463325252u ^ (argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
    char *at = buffer;
    if (slices == 0) {
        fputs("usage: jobsrows ROWS SLICES [SEED]\n", stderr);
        return 2;
    }
    puts("slice,y,x1,x2,x3,x4,x5");
    for (uint64_t i = 0; i < rows; i++) {
        at = put_row(at, slices, &state);
        if (at < buffer + BUFFER && i + 1 < rows) continue;
        if (fwrite(buffer, 1, (size_t)(at - buffer), stdout) != (size_t)(at - buffer)) return 1;
        at = buffer;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
