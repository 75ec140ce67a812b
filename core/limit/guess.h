/* Slows those who guess passwords: progressively, by account and network, and never its owner by the guesses of others.
 *
 * A check counts as wrong from its beginning until it turns out right, so that guesses which are made at the same time
 * count each. After GUESSES_FREE wrong ones from a network, the next must wait for a second, then two, four, ... up to
 * GUESS_WAIT_MAX_S; a right one forgets them, a day does, too.
 *
 * Guesses at one account from many networks together are bounded by the account's own rate. It never holds back the
 * first GUESSES_FREE of a network: so an owner is let in from anywhere, also after a slip, whatever others do
 * elsewhere.
 *
 * A network from which the account was logged in to is known. There the account's rate does not count, and the wait is
 * at most GUESS_WAIT_KNOWN_S. After each wait the first that comes may guess: somebody who shares the network with the
 * owner, and goes on guessing, can take these turns, there and for as long.
 *
 * Accounts are numbers of handles, whether or not such an account exists, so that nothing is revealed. What is
 * remembered is bounded, and this process's alone: with several gateways a guesser has as many times the guesses.
 */
#ifndef ROOKERY_CORE_LIMIT_GUESS_H
#define ROOKERY_CORE_LIMIT_GUESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/str.h"

#define GUESSES_FREE 5
#define GUESS_WAIT_MAX_S 300
#define GUESS_WAIT_KNOWN_S 10
#define GUESSES_FORGOTTEN_S 86400
/* Of one account, from all networks that are not known. */
#define GUESSES_PER_HOUR 100

struct guesses;

/* max_keys: of accounts, and of pairs of an account and a network. Returns NULL on allocation failure. */
struct guesses *guesses_new(size_t max_keys);
void guesses_free(struct guesses *g);

/* One check of a password, as the caller asks for it. */
struct guess {
    uint64_t account; /* guesses_account */
    uint64_t network; /* core/http/network.h */
    /* Set by guess_begin. */
    int64_t before_ns, until_ns; /* from when on the next one was, and is, allowed */
    bool charged;                /* the account's rate */
};

/* The number of a handle in its normal form; hard to collide with, since the hash has a secret key. */
uint64_t guesses_account(const struct guesses *g, struct str handle);
/* Whether the account was logged in to from this network. */
bool guess_is_known(struct guesses *g, const struct guess *guess);

/* Returns 0: the password may be checked, and one of the three below must follow. Else returns after how many ns it may
 * be. */
int64_t guess_begin(struct guesses *g, struct guess *guess, int64_t now_ns);
void guess_right(struct guesses *g, const struct guess *guess);
static inline void guess_wrong(struct guesses *g, const struct guess *guess) {
    (void)g, (void)guess; /* as it was counted */
}
/* It was not checked after all. */
void guess_void(struct guesses *g, const struct guess *guess);

/* An account that was just made from this network: it is known. */
void guess_note_known(struct guesses *g, uint64_t account, uint64_t network);

#endif
