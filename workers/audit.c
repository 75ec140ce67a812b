/* The audit of some accounts; what is compared with what, and why, is in audit.h.
 *
 * One look at a set of accounts:
 *   1. What SQL says of each.
 *   2. Wait until everything committed so far has been delivered.
 *   3. What the API says of each: with sessions that were put in SQL for this, as Login would, and live for minutes
 *      only, whatever becomes of the audit.
 *   4. What SQL says of each, again; compare.
 * Those that differ are looked at again after a pause; what differs at every look is kept. Statements and calls
 * of several accounts are in flight at once, from a crew of fibers.
 * Failures: anything that cannot be asked ends the audit with a sentence: half an audit proves nothing.
 */
#include "workers/audit.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/token.h"
#include "core/domain/home.h"
#include "workers/backlog.h"

#define LOOKS 3
/* As long as gateways may show what is deleted. */
#define PAUSE_MS 1000
#define CREW 24
#define SESSION_LIFE_S 600

/* ---- what SQL says ------------------------------------------------------------------------------------- */

/* The rule of the home timeline once more, as sets, and written without a look at core/domain/home.c: an audit that
 * shares the code it checks would share its mistakes. One statement, so one snapshot. */
static const struct pg_stmt EXPECTED = {
    .name = "audit_expected",
    .sql = "WITH source AS (SELECT $1::bigint AS id UNION SELECT followee_id FROM follows WHERE follower_id "
           "= $1),"
           " hidden AS (SELECT target_id AS id FROM blocks WHERE account_id = $1"
           "   UNION SELECT account_id FROM blocks WHERE target_id = $1"
           "   UNION SELECT target_id FROM mutes WHERE account_id = $1),"
           " newest AS (SELECT e.id FROM (SELECT id FROM source EXCEPT SELECT id FROM hidden) AS author"
           "   CROSS JOIN LATERAL (SELECT p.id FROM posts p LEFT JOIN posts original ON original.id = "
           "p.repost_of_id"
           "     WHERE p.author_id = author.id AND NOT p.deleted"
           "     AND (p.repost_of_id IS NULL"
           "       OR NOT original.deleted AND original.author_id NOT IN (SELECT id FROM hidden))"
           "     AND (p.reply_to_account_id IS NULL OR p.author_id = $1"
           "       OR p.reply_to_account_id NOT IN (SELECT id FROM hidden)"
           "         AND (p.reply_to_account_id = p.author_id OR p.reply_to_account_id IN (SELECT id FROM "
           "source)))"
           "     ORDER BY p.id DESC LIMIT $2) AS e"
           "   ORDER BY e.id DESC LIMIT $2)"
           " SELECT p.id, p.author_id, coalesce(original.edit_count, p.edit_count)"
           " FROM newest JOIN posts p USING (id) LEFT JOIN posts original ON original.id = p.repost_of_id"
           " ORDER BY p.id DESC",
    .read_only = true,
};

int audit_expected(struct fiber *self, struct domain *d, int64_t account_id, struct audit_view *out,
                   struct fault *fault) {
    struct pg_args args;
    struct pg_result *r;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    pg_i64(&args, AUDIT_DEPTH);
    int e = pg_exec(self, d->pg, &EXPECTED, &args, &r, fault);
    if (e != 0) return e;
    for (int i = 0; i < pg_rows(r); i++) {
        struct audit_entry entry = {pg_get_i64(r, i, 0), pg_get_i64(r, i, 1), (int32_t)pg_get_i64(r, i, 2)};
        audit_view_add(out, &entry);
    }
    return 0;
}

/* ---- a look -------------------------------------------------------------------------------------------- */

/* One account at one look. */
struct sight {
    struct audit_account *account;
    int64_t session_id;
    struct str token;
    struct audit_view before, shown, after;
};

struct look {
    struct audit *audit;
    struct sight *sights;
    size_t n;
    bool first;
};

/* A step of a look for one account; runs in a fiber of the crew, whose arena is reset after it. */
typedef int step_fn(struct fiber *self, struct look *l, size_t place, struct fault *fault);

struct crew {
    struct look *look;
    step_fn *step;
    size_t next;
    int error;
    struct fault *fault; /* of the first that failed */
    struct latch done;
};

static void member(struct fiber *self, void *arg) {
    struct crew *c = arg;
    while (c->error == 0 && c->next < c->look->n) {
        struct fault fault = {0};
        int e = c->step(self, c->look, c->next++, &fault);
        if (e != 0 && c->error == 0) {
            c->error = e;
            *c->fault = fault;
        }
        arena_reset(fiber_arena(self));
    }
    latch_done(&c->done);
}

/* Every account's step, several at a time. */
static int for_each(struct fiber *self, struct look *l, step_fn *step, struct fault *fault) {
    struct crew c = {.look = l, .step = step, .fault = fault};
    size_t n = l->n < CREW ? l->n : CREW;
    latch_init(&c.done, n);
    for (size_t i = 0; i < n; i++)
        if (fiber_spawn(fiber_loop(self), NULL, member, &c, NULL) != 0) {
            c.error = fault_set(fault, ERR_OVERLOADED, "not enough memory");
            latch_done(&c.done);
        }
    latch_wait(self, &c.done);
    return c.error;
}

static int read_before(struct fiber *self, struct look *l, size_t place, struct fault *fault) {
    struct sight *s = &l->sights[place];
    return audit_expected(self, l->audit->domain, s->account->id, &s->before, fault);
}

static int read_shown(struct fiber *self, struct look *l, size_t place, struct fault *fault) {
    struct sight *s = &l->sights[place];
    return audit_api_read(self, l->audit->api, place, s->token, &s->shown, fault);
}

static int read_after(struct fiber *self, struct look *l, size_t place, struct fault *fault) {
    struct sight *s = &l->sights[place];
    return audit_expected(self, l->audit->domain, s->account->id, &s->after, fault);
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

static const struct pg_stmt OPEN_SESSIONS = {
    .name = "audit_open_sessions",
    .sql = "INSERT INTO sessions (id, account_id, token_hash, expires_at, user_agent)"
           " SELECT id, account_id, token_hash, now() + $4 * interval '1 second', 'rookery-worker audit'"
           " FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS t (id, account_id, token_hash)",
};

static const struct pg_stmt CLOSE_SESSIONS = {
    .name = "audit_close_sessions",
    .sql = "DELETE FROM sessions WHERE id = ANY($1)",
};

/* A session for each account of the look. Tokens are in the arena. */
static int open_sessions(struct fiber *self, struct look *l, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    struct domain *d = l->audit->domain;
    int64_t *ids = ARENA_ARRAY(a, int64_t, l->n), *accounts = ARENA_ARRAY(a, int64_t, l->n);
    struct str *hashes = ARENA_ARRAY(a, struct str, l->n);
    for (size_t i = 0; i < l->n; i++) {
        struct sight *s = &l->sights[i];
        int e = domain_next_id(d, &s->session_id, fault);
        if (e != 0) return e;
        s->token = token_new(a);
        unsigned char *hash = arena_alloc(a, TOKEN_HASH_BYTES);
        token_hash(hash, s->token);
        ids[i] = s->session_id;
        accounts[i] = s->account->id;
        hashes[i] = (struct str){(const char *)hash, TOKEN_HASH_BYTES};
    }
    struct pg_args args;
    pg_args_init(&args, a);
    pg_i64_array(&args, ids, l->n);
    pg_i64_array(&args, accounts, l->n);
    pg_bytes_array(&args, hashes, l->n);
    pg_i32(&args, SESSION_LIFE_S);
    return pg_exec(self, d->pg, &OPEN_SESSIONS, &args, NULL, fault);
}

/* If it fails they end by themselves. */
static void close_sessions(struct fiber *self, struct look *l) {
    int64_t *ids = ARENA_ARRAY(fiber_arena(self), int64_t, l->n);
    for (size_t i = 0; i < l->n; i++) ids[i] = l->sights[i].session_id;
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64_array(&args, ids, l->n);
    pg_exec(self, l->audit->domain->pg, &CLOSE_SESSIONS, &args, NULL, NULL);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static int see(struct fiber *self, struct look *l, struct fault *fault) {
    int e = for_each(self, l, read_before, fault);
    if (e == 0) e = backlog_settle(self, l->audit->domain, l->audit->wait_ms, fault);
    if (e == 0) e = open_sessions(self, l, fault);
    if (e != 0) return e;
    e = for_each(self, l, read_shown, fault);
    close_sessions(self, l);
    return e == 0 ? for_each(self, l, read_after, fault) : e;
}

/* What this look found is held against what earlier ones did. */
static void conclude(const struct look *l, const struct sight *s) {
    struct audit_differences found = {0};
    audit_compare(&s->before, &s->after, &s->shown, HOME_LENGTH, &found);
    s->account->entries = s->shown.n;
    if (l->first) {
        s->account->lasting = found;
        return;
    }
    audit_differences_intersect(&s->account->lasting, &found);
    audit_differences_free(&found);
}

static int look(struct fiber *self, struct look *l, struct fault *fault) {
    int e = see(self, l, fault);
    for (size_t i = 0; i < l->n; i++) {
        struct sight *s = &l->sights[i];
        if (e == 0) conclude(l, s);
        audit_view_free(&s->before);
        audit_view_free(&s->shown);
        audit_view_free(&s->after);
    }
    return e;
}

int audit_accounts(struct fiber *self, struct audit *a, struct audit_account *accounts, size_t n,
                   struct fault *fault) {
    struct look l = {.audit = a, .first = true};
    l.sights = ARENA_ARRAY(fiber_arena(self), struct sight, n);
    for (int round = 0; round < LOOKS; round++) {
        l.n = 0;
        for (size_t i = 0; i < n; i++)
            if (l.first || accounts[i].lasting.n > 0)
                l.sights[l.n++] = (struct sight){.account = &accounts[i]};
        if (l.n == 0) return 0;
        int e = l.first ? 0 : fiber_sleep_ms(self, PAUSE_MS);
        if (e == 0) e = look(self, &l, fault);
        if (e != 0) return e;
        l.first = false;
    }
    return 0;
}
