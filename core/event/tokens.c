/* Version tokens; the argument is in tokens.h. */
#include "core/event/tokens.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>

#include "core/base/clock.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"

static void add_set_token(struct redis_batch *b, struct str key) {
    uint64_t token[2];
    randombytes_buf(token, sizeof token);
    redis_cmd(b, 5);
    redis_arg(b, STR("SET"));
    redis_arg(b, key);
    redis_arg_printf(b, "%016" PRIx64 "%016" PRIx64, token[0], token[1]);
    redis_arg(b, STR("EX"));
    redis_arg_i64(b, TOKEN_TTL_S);
}

static void add_delete(struct redis_batch *b, struct str key) {
    redis_cmd(b, 2);
    redis_arg(b, STR("DEL"));
    redis_arg(b, key);
}

/* Retries a few times after a lost connection: the commands may be executed twice. */
static bool again(struct fiber *self, int e, unsigned attempt) {
    return (e == ERR_CONNECTION_LOST || e == ERR_ABORTED) && attempt < 5 &&
           fiber_sleep_ms(self, backoff_ms(attempt, 10, 200)) == 0;
}

typedef struct str token_key(char out[static KEY_MAX], int64_t account_id);

struct change {
    token_key *key; /* of the tokens that move */
    const int64_t *accounts, *rebuild;
    size_t n_accounts, n_rebuild;
};

static int announce_once(struct fiber *self, struct domain *d, const struct change *c) {
    int64_t epoch;
    int e = epoch_wait(self, d, &epoch);
    if (e != 0) return e;
    assert(epoch != 0);
    struct redis_batch *b = redis_batch_new();
    char key[KEY_MAX];
    /* Lists first: a reader with the new token then finds no list that was built with the old relations. */
    for (size_t i = 0; i < c->n_rebuild; i++) add_delete(b, key_timeline(key, epoch, c->rebuild[i]));
    for (size_t i = 0; i < c->n_accounts; i++) add_set_token(b, c->key(key, c->accounts[i]));
    uint64_t question = epoch_ask(d);
    e = epoch_send(self, d, b, epoch);
    return e == 0 ? epoch_confirm(self, d, question, epoch) : e;
}

static int announce(struct fiber *self, struct domain *d, const struct change *c) {
    int e = announce_once(self, d, c);
    for (unsigned attempt = 0; e != 0 && again(self, e, attempt); attempt++) e = announce_once(self, d, c);
    return e;
}

int tokens_relations_changed(struct fiber *self, struct domain *d, const int64_t *accounts, size_t n,
                             const int64_t *rebuild, size_t n_rebuild) {
    assert(n > 0 && (n_rebuild == 0 || rebuild));
    const struct change change = {key_relations_token, accounts, rebuild, n, n_rebuild};
    return announce(self, d, &change);
}

int tokens_likes_changed(struct fiber *self, struct domain *d, int64_t account) {
    assert(account != 0);
    const struct change change = {.key = key_likes_token, .accounts = &account, .n_accounts = 1};
    return announce(self, d, &change);
}
