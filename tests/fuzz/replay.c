/* Runs a fuzz target without libFuzzer, so that every test run feeds it hostile input, the same every time.
 *
 *   fuzz_json [RUNS [SEED]]       its seeds, then RUNS (20,000) mutations of them
 *   fuzz_json --write-seeds DIR   the seeds as files, a corpus for libFuzzer
 *   fuzz_json --input FILE...     those inputs, such as what libFuzzer found
 *
 * Run r of a seed is the same on every machine. A failure says which one it was: repeat it with RUNS 1 and
 * that SEED.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define DEFAULT_RUNS 20000
#define MAX_INPUT 8192
#define MAX_SEEDS 64
#define MAX_MUTATIONS 6

/* For whoever reads about a crash. */
static uint64_t running_seed;
extern void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void say_seed(void) {
    fprintf(stderr, "failed in the mutation with seed %llu\n", (unsigned long long)running_seed);
}

static void on_signal(int number) {
    say_seed();
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_for_death(void) {
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(say_seed);
    else
        signal(SIGSEGV, on_signal);
}

struct corpus {
    struct buf seeds[MAX_SEEDS];
    size_t n;
};

/* splitmix64, from "Fast splittable pseudorandom number generators" (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n) {
    return n ? (size_t)(next_random(state) % n) : 0;
}

static void flip_bit(struct buf *b, uint64_t *state) {
    if (b->len > 0) b->ptr[below(state, b->len)] ^= (char)(1 << below(state, 8));
}

static void set_byte(struct buf *b, uint64_t *state) {
    static const char special[] = "\0\x01\x7f\x80\xff\"{}[],:\\.-0eE9Zu \n";
    if (b->len > 0) b->ptr[below(state, b->len)] = special[below(state, sizeof special - 1)];
}

static void cut_range(struct buf *b, uint64_t *state) {
    size_t at = below(state, b->len), len = below(state, b->len - at + 1);
    memmove(b->ptr + at, b->ptr + at + len, b->len - at - len);
    b->len -= len;
}

/* Puts a piece of `from` (which may be b) somewhere into b. */
static void insert_range(struct buf *b, const struct buf *from, uint64_t *state) {
    size_t start = below(state, from->len), len = below(state, from->len - start + 1),
           at = below(state, b->len + 1);
    struct buf piece;
    buf_init(&piece);
    buf_append(&piece, from->ptr + start, len);
    buf_reserve(b, len);
    memmove(b->ptr + at + len, b->ptr + at, b->len - at);
    if (len > 0) memcpy(b->ptr + at, piece.ptr, len);
    b->len += len;
    buf_free(&piece);
}

static void repeat_byte(struct buf *b, uint64_t *state) {
    size_t times = below(state, 200);
    char c = b->len > 0 ? b->ptr[below(state, b->len)] : '[';
    for (size_t i = 0; i < times; i++) buf_append_char(b, c);
}

static void truncate_end(struct buf *b, uint64_t *state) {
    b->len = below(state, b->len + 1);
}

static void mutate(struct buf *b, const struct corpus *c, uint64_t *state) {
    switch (below(state, 8)) {
    case 0:
    case 1: flip_bit(b, state); break;
    case 2:
    case 3: set_byte(b, state); break;
    case 4: cut_range(b, state); break;
    case 5: insert_range(b, below(state, 2) ? b : &c->seeds[below(state, c->n)], state); break;
    case 6: repeat_byte(b, state); break;
    default: truncate_end(b, state); break;
    }
    if (b->len > MAX_INPUT) b->len = MAX_INPUT;
}

/* From an allocation of exactly its size, so that AddressSanitizer sees a read past the end. */
static void run(const struct buf *b) {
    uint8_t *exact = malloc(b->len ? b->len : 1);
    if (exact == NULL) abort();
    if (b->len > 0) memcpy(exact, b->ptr, b->len);
    LLVMFuzzerTestOneInput(exact, b->len);
    free(exact);
}

static void run_mutation(const struct corpus *c, uint64_t seed) {
    uint64_t state = seed;
    struct buf b;
    const struct buf *start = &c->seeds[below(&state, c->n)];
    buf_init(&b);
    buf_append(&b, start->ptr, start->len);
    for (size_t n = 1 + below(&state, MAX_MUTATIONS); n > 0; n--) mutate(&b, c, &state);
    run(&b);
    buf_free(&b);
}

static void replay(const struct corpus *c, uint64_t runs, uint64_t seed) {
    for (size_t i = 0; i < c->n; i++) run(&c->seeds[i]);
    for (uint64_t r = 0; r < runs; r++) {
        running_seed = seed + r;
        run_mutation(c, running_seed);
    }
    printf("%zu seeds and %llu mutations from seed %llu\n", c->n, (unsigned long long)runs,
           (unsigned long long)seed);
}

static int write_seeds(const struct corpus *c, const char *dir) {
    for (size_t i = 0; i < c->n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/seed-%02zu", dir, i);
        FILE *f = fopen(path, "wb");
        if (f == NULL || fwrite(c->seeds[i].ptr, 1, c->seeds[i].len, f) != c->seeds[i].len ||
            fclose(f) != 0) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

static int run_file(const char *path) {
    struct buf b;
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    buf_init(&b);
    for (int c; (c = fgetc(f)) != EOF;) buf_append_char(&b, (char)c);
    fclose(f);
    run(&b);
    buf_free(&b);
    return 0;
}

static int usage(const char *program) {
    fprintf(stderr, "usage: %s [RUNS [SEED]] | --write-seeds DIR | --input FILE...\n", program);
    return 2;
}

static int act(const struct corpus *c, int argc, char **argv) {
    int failed = 0;
    if (argc == 3 && strcmp(argv[1], "--write-seeds") == 0) return write_seeds(c, argv[2]);
    if (argc >= 3 && strcmp(argv[1], "--input") == 0) {
        for (int i = 2; i < argc; i++) failed |= run_file(argv[i]);
        return failed;
    }
    if (argc > 3 || (argc > 1 && argv[1][0] == '-')) return usage(argv[0]);
    replay(c, argc > 1 ? strtoull(argv[1], NULL, 10) : DEFAULT_RUNS,
           argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
    return 0;
}

int main(int argc, char **argv) {
    struct corpus c = {.n = 0};
    for (buf_init(&c.seeds[0]); fuzz_seed(c.n, &c.seeds[c.n]); buf_init(&c.seeds[c.n])) {
        c.n++;
        assert(c.n < MAX_SEEDS);
    }
    assert(c.n > 0);
    watch_for_death();
    int status = act(&c, argc, argv);
    for (size_t i = 0; i < c.n; i++) buf_free(&c.seeds[i]);
    return status;
}
