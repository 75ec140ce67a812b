/* Sessions: opaque tokens, stored as hashes.
 *
 * Revoking deletes rows and publishes SessionsRevoked with the outbox row, so that gateways discard what they have
 * cached (within their hub's freshness, as for deleted posts). Acknowledged when published.
 */
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

int session_open(struct fiber *self, struct domain *d, int64_t account_id, struct str user_agent,
                 struct new_session *out, struct fault *fault) {
    unsigned char hash[TOKEN_HASH_BYTES];
    *out = (struct new_session){.token = token_new(fiber_arena(self))};
    out->session.account_id = account_id;
    out->session.expires_ms = domain_now_ms(d) + d->config->session_days * MS_PER_DAY;
    out->session.user_agent = shortened(user_agent, USER_AGENT_MAX);
    token_hash(hash, out->token);
    int e = domain_next_id(d, &out->session.id, fault);
    if (e != 0) return e;
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, out->session.id);
    pg_i64(&args, account_id);
    pg_bytes(&args, (struct str){(const char *)hash, sizeof hash});
    pg_i64(&args, out->session.expires_ms);
    pg_text(&args, out->session.user_agent);
    return pg_exec(self, d->pg, &SESSION_INSERT, &args, NULL, fault);
}

static void read_session(const struct pg_result *r, int row, struct session *out) {
    *out = (struct session){
        .id = pg_get_i64(r, row, 0),
        .account_id = pg_get_i64(r, row, 1),
        .expires_ms = pg_get_time_ms(r, row, 2),
        .user_agent = pg_get_str(r, row, 3),
    };
}

int session_authenticate(struct fiber *self, struct domain *d, struct str token, struct session *out,
                         struct fault *fault) {
    unsigned char hash[TOKEN_HASH_BYTES];
    token_hash(hash, token);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_bytes(&args, (struct str){(const char *)hash, sizeof hash});
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &SESSION_FIND, &args, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0)
        return fault_set(fault, ERR_UNAUTHENTICATED, "the token is unknown, expired or revoked: log in");
    read_session(r, 0, out);
    return 0;
}

int session_list(struct fiber *self, struct domain *d, int64_t account_id, int64_t before, int limit,
                 struct session **out, size_t *n, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    pg_i64(&args, before);
    pg_i64(&args, limit);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &SESSION_LIST, &args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct session, *n);
    for (int i = 0; i < pg_rows(r); i++) read_session(r, i, &(*out)[i]);
    return 0;
}

int session_filter_valid(struct fiber *self, struct domain *d, const int64_t *ids, size_t n,
                         struct ids *valid, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64_array(&args, ids, n);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &SESSION_FILTER_VALID, &args, &r, fault);
    if (e != 0) return e;
    int64_t *found;
    size_t n_found = pg_get_i64_array(r, 0, 0, fiber_arena(self), &found);
    ids_init(valid);
    for (size_t i = 0; i < n_found; i++) ids_push(valid, found[i]);
    return 0;
}

/* ---- revoking ------------------------------------------------------------------------------------------ */

static int revoke_all(struct fiber *self, struct domain *d, int64_t account_id, int64_t *ids, size_t n,
                      struct fault *fault) {
    Rookery__Events__V1__SessionsRevoked revoked = ROOKERY__EVENTS__V1__SESSIONS_REVOKED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    revoked.session_ids = ids;
    revoked.n_session_ids = n;
    event.actor_id = account_id;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_SESSIONS_REVOKED;
    event.sessions_revoked = &revoked;
    struct event_record record = event_encode(fiber_arena(self), &event, d->config->partitions);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    pg_i64_array(&args, ids, n);
    outbox_args(&args, &record);
    struct pg_result *r;
    e = pg_exec(self, d->pg, &SESSION_REVOKE, &args, &r, fault);
    if (e != 0) return e;
    if (pg_get_bool(r, 0, 0))
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
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    pg_i64(&args, keep);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &SESSION_OTHERS, &args, &r, fault);
    if (e != 0) return e;
    int64_t *ids;
    size_t n = pg_get_i64_array(r, 0, 0, fiber_arena(self), &ids);
    return n == 0 ? 0 : revoke_all(self, d, account_id, ids, n, fault);
}
