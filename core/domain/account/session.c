/* Sessions: opaque tokens, stored as hashes.
 *
 * Revoking deletes rows and publishes SessionsRevoked with the outbox row, so that gateways discard what they have
 * cached (within their hub's freshness, as for deleted posts). Acknowledged when published.
 */
#include <assert.h>

#include "core/base/clock.h"
#include "core/domain/account/account_internal.h"
#include "core/domain/account/session.sql.h"
#include "core/event/outbox.h"
#include "core/id/token.h"

#define USER_AGENT_MAX 200
#define MS_PER_DAY INT64_C(86400000)

/* The first bytes of s, at most this many, ending at a character. */
static struct str shortened(struct str s, size_t max) {
    if (!str_is_utf8(s)) return (struct str){"", 0};
    if (s.len <= max) return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xC0) == 0x80) max--;
    return (struct str){s.ptr, max};
}

/* The event that these sessions have ended. */
static int encode_revoked(struct fiber *self, struct domain *d, int64_t account_id, int64_t *ids, size_t n,
                          struct event_record *out, struct fault *fault) {
    Rookery__Events__V1__SessionsRevoked revoked = ROOKERY__EVENTS__V1__SESSIONS_REVOKED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    revoked.session_ids = ids;
    revoked.n_session_ids = n;
    event.actor_id = account_id;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_SESSIONS_REVOKED;
    event.sessions_revoked = &revoked;
    *out = event_encode(fiber_arena(self), &event, d->config->partitions);
    return 0;
}

/* Inserts the session, and deletes those beyond the account's limit in the same statement. Logins at the same moment
 * may find the same ones: the next login then ends one more. Other gateways hear of it as of any ended session; the
 * login does not wait for that. */
static int insert_session(struct fiber *self, struct domain *d, const struct session *s, struct str hash,
                          struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &SESSION_BEYOND, &r, fault, pg_i64(s->account_id),
                   pg_i64(d->config->sessions_per_account - 1));
    if (e != 0) return e;
    int64_t *beyond;
    size_t n = pg_only_i64_array(r, fiber_arena(self), &beyond);
    struct event_record record;
    e = encode_revoked(self, d, s->account_id, beyond, n, &record, fault);
    if (e != 0) return e;
    e = pg_ask(self, d->pg, &SESSION_INSERT, &r, fault, pg_i64(s->id), pg_i64(s->account_id), pg_bytes(hash),
               pg_i64(s->expires_ms), pg_text(s->user_agent), pg_i64_array(beyond, n), OUTBOX_ROW(&record));
    if (e == 0 && pg_only_bool(r)) outbox_publish(self, d, &record, 1);
    return e;
}

int session_open(struct fiber *self, struct domain *d, int64_t account_id, struct str user_agent,
                 struct new_session *out, struct fault *fault) {
    assert(account_id != 0);
    unsigned char hash[TOKEN_HASH_BYTES];
    *out = (struct new_session){.token = token_new(fiber_arena(self), d->token_key)};
    out->session.account_id = account_id;
    out->session.expires_ms = domain_now_ms(d) + d->config->session_days * MS_PER_DAY;
    out->session.user_agent = shortened(user_agent, USER_AGENT_MAX);
    assert(out->session.user_agent.len <= USER_AGENT_MAX);
    token_hash(hash, out->token);
    int e = domain_next_id(d, &out->session.id, fault);
    if (e != 0) return e;
    return insert_session(self, d, &out->session, (struct str){(const char *)hash, sizeof hash}, fault);
}

static void read_session(struct pg_row *row, struct session *out) {
    out->id = pg_take_i64(row);
    out->account_id = pg_take_i64(row);
    out->expires_ms = pg_take_time_ms(row);
    out->user_agent = pg_take_str(row);
}

int session_authenticate(struct fiber *self, struct domain *d, struct str token, struct session *out,
                         struct fault *fault) {
    unsigned char hash[TOKEN_HASH_BYTES];
    token_hash(hash, token);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &SESSION_FIND, &r, fault,
                   pg_bytes((struct str){(const char *)hash, sizeof hash}));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row))
        return fault_set(fault, ERR_UNAUTHENTICATED, "the token is unknown, expired or revoked: log in");
    read_session(&row, out);
    out->left_ms = pg_take_i64(&row);
    pg_end(&row);
    return 0;
}

int session_list(struct fiber *self, struct domain *d, int64_t account_id, int64_t before, int limit,
                 struct session **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &SESSION_LIST, &r, fault, pg_i64(account_id), pg_i64(before), pg_i64(limit));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct session, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) read_session(&row, &(*out)[*n]);
    assert(*n <= (size_t)limit);
    return 0;
}

int session_filter_valid(struct fiber *self, struct domain *d, const int64_t *ids, size_t n,
                         struct ids *valid, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &SESSION_FILTER_VALID, &r, fault, pg_i64_array(ids, n));
    if (e != 0) return e;
    int64_t *found;
    size_t n_found = pg_only_i64_array(r, fiber_arena(self), &found);
    ids_init(valid);
    for (size_t i = 0; i < n_found; i++) ids_push(valid, found[i]);
    assert(valid->len <= n && ids_are_sorted_unique(valid->v, valid->len));
    return 0;
}

/* ---- revoking ------------------------------------------------------------------------------------------ */

static int revoke_all(struct fiber *self, struct domain *d, int64_t account_id, int64_t *ids, size_t n,
                      struct fault *fault) {
    assert(n > 0);
    struct event_record record;
    int e = encode_revoked(self, d, account_id, ids, n, &record, fault);
    if (e != 0) return e;
    struct pg_result *r;
    e = pg_ask(self, d->pg, &SESSION_REVOKE, &r, fault, pg_i64(account_id), pg_i64_array(ids, n),
               OUTBOX_ROW(&record));
    if (e != 0) return e;
    if (pg_only_bool(r))
        return fault_field(fault, ERR_NOT_FOUND, "session_id",
                           "there is no session of this account with this session_id");
    /* Also when there was nothing to delete: an earlier call may have failed after its commit. */
    if (outbox_publish_heard(self, d, &record) == 0) return 0;
    return fault_set(fault, ERR_UNAVAILABLE,
                     "the sessions are ended but this is not yet known everywhere: try again");
}

int session_revoke(struct fiber *self, struct domain *d, int64_t account_id, int64_t session_id,
                   struct fault *fault) {
    return revoke_all(self, d, account_id, &session_id, 1, fault);
}

int session_revoke_others(struct fiber *self, struct domain *d, int64_t account_id, int64_t keep,
                          struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &SESSION_OTHERS, &r, fault, pg_i64(account_id), pg_i64(keep));
    if (e != 0) return e;
    int64_t *ids;
    size_t n = pg_only_i64_array(r, fiber_arena(self), &ids);
    return n == 0 ? 0 : revoke_all(self, d, account_id, ids, n, fault);
}
