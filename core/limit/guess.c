/* Guessing: see guess.h. Three tables: wrong guesses by pair, known pairs (which only right passwords fill, so that
 * guessing cannot push them out), and the rate by account. */
#include "core/limit/guess.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/limit/gcra.h"
#include "core/limit/table.h"

/* The rows of a pair. */
enum { WRONG, ALLOWED_AT, LAST_AT, PAIR_ROWS };

struct guesses {
    unsigned char key[crypto_shorthash_KEYBYTES];
    struct limit_table *pairs, *known, *accounts;
    struct rate rate;
};

struct guesses *guesses_new(size_t max_keys) {
    struct guesses *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    randombytes_buf(g->key, sizeof g->key);
    g->rate = rate_of(GUESSES_PER_HOUR, 3600, 1);
    g->pairs = limit_table_new(max_keys, PAIR_ROWS);
    g->known = limit_table_new(max_keys, 1);
    g->accounts = limit_table_new(max_keys, 1);
    if (g->pairs && g->known && g->accounts) return g;
    guesses_free(g);
    return NULL;
}

void guesses_free(struct guesses *g) {
    if (!g) return;
    limit_table_free(g->pairs);
    limit_table_free(g->known);
    limit_table_free(g->accounts);
    free(g);
}

static uint64_t hash(const struct guesses *g, const void *bytes, size_t n) {
    uint64_t out;
    static_assert(sizeof out == crypto_shorthash_BYTES, "a hash is a number");
    crypto_shorthash((unsigned char *)&out, bytes, n, g->key);
    return out;
}

uint64_t guesses_account(const struct guesses *g, struct str handle) {
    return hash(g, handle.len ? handle.ptr : "", handle.len);
}

static uint64_t pair_of(const struct guesses *g, uint64_t account, uint64_t network) {
    const uint64_t both[2] = {account, network};
    return hash(g, both, sizeof both);
}

bool guess_is_known(struct guesses *g, const struct guess *guess) {
    return limit_table_find(g->known, pair_of(g, guess->account, guess->network)) != NULL;
}

void guess_note_known(struct guesses *g, uint64_t account, uint64_t network) {
    *limit_table_use(g->known, pair_of(g, account, network)) = 1;
}

/* How long the next guess waits after so many wrong ones. */
static int64_t wait_after(int64_t wrong, bool known) {
    int64_t most_s = known ? GUESS_WAIT_KNOWN_S : GUESS_WAIT_MAX_S;
    if (wrong < GUESSES_FREE) return 0;
    int64_t doublings = wrong - GUESSES_FREE;
    int64_t wait_s = doublings < 20 ? INT64_C(1) << doublings : most_s;
    return (wait_s < most_s ? wait_s : most_s) * NS_PER_S;
}

int64_t guess_begin(struct guesses *g, struct guess *guess, int64_t now_ns) {
    bool known = guess_is_known(g, guess);
    int64_t *pair = limit_table_use(g->pairs, pair_of(g, guess->account, guess->network));
    if (now_ns - pair[LAST_AT] > GUESSES_FORGOTTEN_S * NS_PER_S) pair[WRONG] = pair[ALLOWED_AT] = 0;
    if (pair[ALLOWED_AT] > now_ns) return pair[ALLOWED_AT] - now_ns;
    guess->charged = false;
    if (!known) {
        int64_t wait_ns = gcra_take(limit_table_use(g->accounts, guess->account), g->rate, now_ns);
        if (wait_ns > 0 && pair[WRONG] >= GUESSES_FREE) return wait_ns;
        guess->charged = wait_ns == 0;
    }
    guess->before_ns = pair[ALLOWED_AT];
    pair[WRONG]++;
    pair[LAST_AT] = now_ns;
    pair[ALLOWED_AT] = guess->until_ns = now_ns + wait_after(pair[WRONG], known);
    return 0;
}

static void give_back(struct guesses *g, const struct guess *guess) {
    int64_t *account = guess->charged ? limit_table_find(g->accounts, guess->account) : NULL;
    if (account) gcra_give_back(account, g->rate);
}

void guess_right(struct guesses *g, const struct guess *guess) {
    give_back(g, guess);
    limit_table_remove(g->pairs, pair_of(g, guess->account, guess->network));
    guess_note_known(g, guess->account, guess->network);
}

void guess_void(struct guesses *g, const struct guess *guess) {
    give_back(g, guess);
    int64_t *pair = limit_table_find(g->pairs, pair_of(g, guess->account, guess->network));
    if (!pair || pair[WRONG] == 0) return;
    pair[WRONG]--;
    if (pair[ALLOWED_AT] == guess->until_ns) pair[ALLOWED_AT] = guess->before_ns;
}
