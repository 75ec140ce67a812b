/* What the audit asks SQL and Redis, and the crew of fibers that asks for several accounts concurrently. */
#include <inttypes.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/event/keys.h"
#include "core/event/tokens.h"
#include "core/id/token.h"
#include "workers/audit/audit_internal.h"
#include "workers/audit/truth.sql.h"

#define CREW 24
#define SESSION_LIFE_S 600

/* ---- home timelines ------------------------------------------------------------------------------------ */

int audit_expected(struct fiber *self, struct domain *d, int64_t account_id, struct audit_view *out,
                   struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &AUDIT_EXPECTED, &r, fault, pg_i64(account_id), pg_i64(AUDIT_DEPTH));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) {
        struct audit_entry entry = {0};
        entry.id = pg_take_i64(&row);
        entry.author_id = pg_take_i64(&row);
        entry.edit_count = pg_take_i32(&row);
        entry.pulled = pg_take_bool(&row);
        audit_view_add(out, &entry);
    }
    return 0;
}

/* ---- relations ----------------------------------------------------------------------------------------- */

int audit_relations_token(struct fiber *self, struct domain *d, int64_t account_id, struct audit_token *out,
                          struct fault *fault) {
    char space[KEY_MAX];
    struct str key = key_relations_token(space, account_id);
    const struct redis_reply *token;
    int e = redis_call(self, d->redis, NULL, "SET " STR_FMT " %016" PRIx64 "%016" PRIx64 " EX %d NX",
                       STR_ARG(key), random_u64(), random_u64(), TOKEN_TTL_S);
    if (e == 0) e = redis_call(self, d->redis, &token, "GET " STR_FMT, STR_ARG(key));
    if (e != 0) return fault_set(fault, e, "Redis: %s", error_text(e));
    bool there = token->type == REDIS_STRING;
    snprintf(out->text, sizeof out->text, STR_FMT, there ? (int)token->str.len : 0,
             there ? token->str.ptr : "");
    return 0;
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

int audit_sessions_open(struct fiber *self, struct domain *d, struct audit_session *sessions, size_t n,
                        struct fault *fault) {
    struct arena *a = fiber_arena(self);
    int64_t *ids = ARENA_ARRAY(a, int64_t, n), *accounts = ARENA_ARRAY(a, int64_t, n);
    struct str *hashes = ARENA_ARRAY(a, struct str, n);
    for (size_t i = 0; i < n; i++) {
        int e = domain_next_id(d, &sessions[i].id, fault);
        if (e != 0) return e;
        sessions[i].token = token_new(a, NULL);
        unsigned char *hash = arena_alloc(a, TOKEN_HASH_BYTES);
        token_hash(hash, sessions[i].token);
        ids[i] = sessions[i].id;
        accounts[i] = sessions[i].account_id;
        hashes[i] = (struct str){(const char *)hash, TOKEN_HASH_BYTES};
    }
    return pg_ask(self, d->pg, &AUDIT_OPEN_SESSIONS, NULL, fault, pg_i64_array(ids, n),
                  pg_i64_array(accounts, n), pg_bytes_array(hashes, n), pg_i32(SESSION_LIFE_S));
}

void audit_sessions_close(struct fiber *self, struct domain *d, const struct audit_session *sessions,
                          size_t n) {
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, n);
    for (size_t i = 0; i < n; i++) ids[i] = sessions[i].id;
    pg_ask(self, d->pg, &AUDIT_CLOSE_SESSIONS, NULL, NULL, pg_i64_array(ids, n));
}

/* ---- the crew ------------------------------------------------------------------------------------------ */

struct crew {
    audit_step *step;
    void *context;
    size_t next, n;
    int error;
    struct fault *fault; /* of the first that failed */
    struct latch done;
};

static void member(struct fiber *self, void *arg) {
    struct crew *c = arg;
    while (c->error == 0 && c->next < c->n) {
        struct fault fault = {0};
        int e = c->step(self, c->context, c->next++, &fault);
        if (e != 0 && c->error == 0) {
            c->error = e;
            *c->fault = fault;
        }
        arena_reset(fiber_arena(self));
    }
    latch_done(&c->done);
}

int audit_each(struct fiber *self, size_t n, audit_step *step, void *context, struct fault *fault) {
    struct crew c = {.step = step, .context = context, .n = n, .fault = fault};
    size_t members = n < CREW ? n : CREW;
    latch_init(&c.done, members);
    for (size_t i = 0; i < members; i++)
        if (fiber_spawn(fiber_loop(self), NULL, member, &c, NULL) != 0) {
            c.error = fault_set(fault, ERR_OVERLOADED, "not enough memory");
            latch_done(&c.done);
        }
    latch_wait(self, &c.done);
    return c.error;
}
