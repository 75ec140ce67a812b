/* Accounts and profiles; sessions are in session.c.
 *
 * Hashing a password takes tens of milliseconds of CPU on purpose. So it runs on the thread pool, as many at a time
 * as the pool has threads; other calls wait in fiber_offload's bounded queue.
 */
#include "core/domain/account/account.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/domain/account/account.sql.h"
#include "core/domain/account/account_internal.h"
#include "core/event/outbox.h"
#include "core/id/token.h"
#include "core/text/text.h"

/* ---- passwords off the loop ---------------------------------------------------------------------------- */

struct hash_job {
    struct str password;
    int64_t memory_kib, passes;
    char hash[PASSWORD_HASH_MAX];
    bool ok;
};

static void hash_on_thread(void *arg) {
    struct hash_job *j = arg;
    j->ok = password_hash(j->hash, j->password, j->memory_kib, j->passes);
}

static void verify_on_thread(void *arg) {
    struct hash_job *j = arg;
    j->ok = password_verify(j->hash, j->password);
}

static int hash_password(struct fiber *self, struct domain *d, struct str password, char **out,
                         struct fault *fault) {
    struct hash_job j = {
        .password = password,
        .memory_kib = d->config->password_memory_kib,
        .passes = d->config->password_passes,
    };
    int e = fiber_offload(self, hash_on_thread, &j);
    if (e != 0) return fault_set(fault, e, "too many passwords are being checked: try again");
    if (!j.ok) return fault_set(fault, ERR_UNAVAILABLE, "no memory to hash a password: try again");
    *out = arena_strdup(fiber_arena(self), j.hash);
    return 0;
}

static int verify_password(struct fiber *self, struct str password, struct str hash, bool *ok,
                           struct fault *fault) {
    struct hash_job j = {.password = password};
    size_t n = hash.len < sizeof j.hash - 1 ? hash.len : sizeof j.hash - 1;
    memcpy(j.hash, hash.ptr, n);
    int e = fiber_offload(self, verify_on_thread, &j);
    if (e != 0) return fault_set(fault, e, "too many passwords are being checked: try again");
    *ok = j.ok;
    return 0;
}

static int check_password(struct str password, const char *field, struct fault *fault) {
    if (password.len < PASSWORD_MIN_BYTES || password.len > PASSWORD_MAX_BYTES)
        return fault_field(fault, ERR_INVALID_ARGUMENT, field, "%s must be %d to %d bytes", field,
                           PASSWORD_MIN_BYTES, PASSWORD_MAX_BYTES);
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void read_account(const struct pg_result *r, struct account *out) {
    *out = (struct account){
        .id = pg_get_i64(r, 0, 0),
        .handle = pg_get_str(r, 0, 1),
        .display_name = pg_get_str(r, 0, 2),
        .bio = pg_get_str(r, 0, 3),
        .follower_count = pg_get_i64(r, 0, 4),
        .following_count = pg_get_i64(r, 0, 5),
        .post_count = pg_get_i64(r, 0, 6),
        .pulled = pg_get_bool(r, 0, 7),
    };
}

int account_get(struct fiber *self, struct domain *d, int64_t id, struct account *out, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, id);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &ACCOUNT_GET, &args, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0)
        return fault_field(fault, ERR_NOT_FOUND, "account_id", "there is no account with this account_id");
    read_account(r, out);
    return 0;
}

/* *r has the hash in column 8 and the registration key in 9; no rows when the handle is unknown. */
static int find_handle(struct fiber *self, struct domain *d, struct str handle, struct pg_result **r,
                       struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_text(&args, handle);
    return pg_exec(self, d->pg, &ACCOUNT_GET_BY_HANDLE, &args, r, fault);
}

int account_get_by_handle(struct fiber *self, struct domain *d, struct str handle, struct account *out,
                          struct fault *fault) {
    if (!str_is_utf8(handle))
        return fault_field(fault, ERR_INVALID_ARGUMENT, "handle", "handle must be UTF-8");
    struct pg_result *r;
    int e = find_handle(self, d, handle, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0)
        return fault_field(fault, ERR_NOT_FOUND, "handle", "there is no account with this handle");
    read_account(r, out);
    return 0;
}

int account_summaries(struct fiber *self, struct domain *d, const int64_t *ids, size_t n,
                      struct account_summary **out, size_t *n_out, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64_array(&args, ids, n);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &ACCOUNT_SUMMARIES, &args, &r, fault);
    if (e != 0) return e;
    *n_out = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct account_summary, *n_out);
    for (int i = 0; i < pg_rows(r); i++)
        (*out)[i] = (struct account_summary){pg_get_i64(r, i, 0), pg_get_str(r, i, 1), pg_get_str(r, i, 2)};
    return 0;
}

/* ---- registering --------------------------------------------------------------------------------------- */

static int check_registration(struct arena *a, struct account_registration *in, struct fault *fault) {
    const char *wrong = text_check_handle(a, in->handle, &in->handle);
    if (wrong) return fault_field(fault, ERR_INVALID_ARGUMENT, "handle", "%s", wrong);
    int e = check_password(in->password, "password", fault);
    if (e != 0) return e;
    if (in->display_name.len == 0) in->display_name = in->handle;
    wrong = text_check_line(a, "display_name", in->display_name, 1, 50, false, &in->display_name);
    if (wrong) return fault_field(fault, ERR_INVALID_ARGUMENT, "display_name", "%s", wrong);
    if (in->idempotency_key.len > 64)
        return fault_field(fault, ERR_INVALID_ARGUMENT, "idempotency_key",
                           "idempotency_key must be at most 64 bytes");
    return 0;
}

static struct event_record account_event(struct arena *a, Event *e, Rookery__Events__V1__Event__WhatCase what,
                                         int64_t partitions) {
    Rookery__Events__V1__AccountChanged changed = ROOKERY__EVENTS__V1__ACCOUNT_CHANGED__INIT;
    e->what_case = what;
    e->account_created = &changed; /* every AccountChanged shares this place in the oneof */
    return event_encode(a, e, partitions);
}

static int insert_account(struct fiber *self, struct domain *d, const struct account_registration *in,
                          const char *hash, struct account *out, bool *taken, struct fault *fault) {
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &out->id, fault);
    if (e == 0) e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    event.actor_id = out->id;
    struct event_record record = account_event(
        fiber_arena(self), &event, ROOKERY__EVENTS__V1__EVENT__WHAT_ACCOUNT_CREATED, d->config->partitions);
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, out->id);
    pg_text(&args, in->handle);
    pg_text(&args, in->display_name);
    pg_text(&args, str_from(hash));
    pg_text(&args, in->idempotency_key);
    outbox_args(&args, &record);
    struct pg_result *r;
    e = pg_exec(self, d->pg, &ACCOUNT_INSERT, &args, &r, fault);
    if (e != 0) return e;
    *taken = pg_rows(r) == 0;
    out->handle = in->handle;
    out->display_name = in->display_name;
    if (!*taken) outbox_publish(self, d, &record, 1);
    return 0;
}

/* The handle exists: it is the same registration again (same key, same password), or another account's. */
static int registered_before(struct fiber *self, struct domain *d, const struct account_registration *in,
                             struct account *out, struct fault *fault) {
    struct pg_result *r;
    int e = find_handle(self, d, in->handle, &r, fault);
    if (e != 0) return e;
    bool same =
        in->idempotency_key.len > 0 && pg_rows(r) == 1 && str_eq(pg_get_str(r, 0, 9), in->idempotency_key);
    if (same) e = verify_password(self, in->password, pg_get_str(r, 0, 8), &same, fault);
    if (e != 0) return e;
    if (!same) return fault_field(fault, ERR_ALREADY_EXISTS, "handle", "this handle is taken");
    read_account(r, out);
    return 0;
}

int account_register(struct fiber *self, struct domain *d, const struct account_registration *raw,
                     struct account *out, struct new_session *session, struct fault *fault) {
    struct account_registration in = *raw;
    char *hash;
    bool taken;
    *out = (struct account){0};
    int e = check_registration(fiber_arena(self), &in, fault);
    if (e == 0) e = hash_password(self, d, in.password, &hash, fault);
    if (e == 0) e = insert_account(self, d, &in, hash, out, &taken, fault);
    if (e == 0 && taken) e = registered_before(self, d, &in, out, fault);
    if (e == 0) e = session_open(self, d, out->id, in.user_agent, session, fault);
    return e;
}

/* ---- logging in, passwords, profiles ------------------------------------------------------------------- */

int account_login(struct fiber *self, struct domain *d, struct str handle, struct str password,
                  struct str user_agent, struct account *out, struct new_session *session,
                  struct fault *fault) {
    struct pg_result *r;
    if (password.len > PASSWORD_MAX_BYTES) password.len = 0;
    int e = find_handle(self, d, handle, &r, fault);
    if (e != 0) return e;
    bool known = pg_rows(r) == 1, ok = false;
    if (known) {
        e = verify_password(self, password, pg_get_str(r, 0, 8), &ok, fault);
    } else {
        /* As much work as a real check, so that the time does not reveal which handles exist. */
        char *unused;
        e = hash_password(self, d, password, &unused, fault);
    }
    if (e != 0) return e;
    if (!ok) return fault_set(fault, ERR_UNAUTHENTICATED, "unknown handle or wrong password");
    read_account(r, out);
    return session_open(self, d, out->id, user_agent, session, fault);
}

static int set_hash(struct fiber *self, struct domain *d, int64_t account_id, const char *hash,
                    struct str old, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    pg_text(&args, str_from(hash));
    pg_text(&args, old);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &ACCOUNT_SET_HASH, &args, &r, fault);
    if (e != 0) return e;
    if (pg_affected(r) == 0)
        return fault_set(fault, ERR_ABORTED, "the password was changed at the same time: try again");
    return 0;
}

int account_change_password(struct fiber *self, struct domain *d, int64_t account_id, int64_t session_id,
                            struct str current, struct str wanted, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, account_id);
    struct pg_result *r;
    int e = check_password(wanted, "new_password", fault);
    if (e == 0) e = pg_exec(self, d->pg, &ACCOUNT_GET_HASH, &args, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0) return fault_set(fault, ERR_UNAUTHENTICATED, "the account is gone");
    struct str old = pg_get_str(r, 0, 0);
    bool ok, already = false;
    char *hash;
    e = verify_password(self, current, old, &ok, fault);
    /* A retry of a change that has been made finds the new password in place. */
    if (e == 0 && !ok) e = verify_password(self, wanted, old, &already, fault);
    if (e != 0) return e;
    if (!ok && !already)
        return fault_field(fault, ERR_PERMISSION_DENIED, "current_password", "current_password is wrong");
    if (!already) {
        e = hash_password(self, d, wanted, &hash, fault);
        if (e == 0) e = set_hash(self, d, account_id, hash, old, fault);
    }
    return e != 0 ? e : session_revoke_others(self, d, account_id, session_id, fault);
}

static void text_or_null(struct pg_args *args, struct str s) {
    if (s.ptr)
        pg_text(args, s);
    else
        pg_null(args);
}

int account_update_profile(struct fiber *self, struct domain *d, int64_t id, struct str display_name,
                           struct str bio, struct account *out, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    const char *wrong = NULL;
    if (display_name.ptr)
        wrong = text_check_line(a, "display_name", display_name, 1, 50, false, &display_name);
    if (wrong) return fault_field(fault, ERR_INVALID_ARGUMENT, "display_name", "%s", wrong);
    if (bio.ptr) wrong = text_check_line(a, "bio", bio, 0, 160, true, &bio);
    if (wrong) return fault_field(fault, ERR_INVALID_ARGUMENT, "bio", "%s", wrong);
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    event.actor_id = id;
    struct event_record record =
        account_event(a, &event, ROOKERY__EVENTS__V1__EVENT__WHAT_ACCOUNT_UPDATED, d->config->partitions);
    struct pg_args args;
    pg_args_init(&args, a);
    pg_i64(&args, id);
    text_or_null(&args, display_name);
    text_or_null(&args, bio);
    outbox_args(&args, &record);
    e = pg_exec(self, d->pg, &ACCOUNT_UPDATE_PROFILE, &args, NULL, fault);
    if (e != 0) return e;
    outbox_publish(self, d, &record, 1);
    return account_get(self, d, id, out, fault);
}

/* ---- permissions --------------------------------------------------------------------------------------- */

int account_set_analyst(struct fiber *self, struct domain *d, int64_t id, bool analyst, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, id);
    pg_bool(&args, analyst);
    return pg_exec(self, d->pg, &ACCOUNT_SET_ANALYST, &args, NULL, fault);
}

int account_require_analyst(struct fiber *self, struct domain *d, int64_t id, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, id);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &ACCOUNT_IS_ANALYST, &args, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 1 && pg_get_bool(r, 0, 0)) return 0;
    return fault_set(fault, ERR_PERMISSION_DENIED,
                     "this is for analysts; an operator can grant it (rookery-worker grant HANDLE analyst)");
}
