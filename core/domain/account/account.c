/* Accounts and profiles; sessions are in session.c.
 *
 * Hashing a password takes tens of milliseconds of CPU on purpose. So it runs on the thread pool. How many do at a
 * time, and whose turn it is, is the caller's to decide (gateway/limit/password.h).
 */
#include "core/domain/account/account.h"

#include <assert.h>
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

/* A deadline that passed meanwhile says nothing about others. */
static int not_checked(int e, struct fault *fault) {
    if (e != ERR_OVERLOADED) return e;
    return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "too many passwords are being checked: try again");
}

static int hash_password(struct fiber *self, struct domain *d, struct str password, char **out,
                         struct fault *fault) {
    struct hash_job j = {
        .password = password,
        .memory_kib = d->config->password_memory_kib,
        .passes = d->config->password_passes,
    };
    int e = fiber_offload(self, hash_on_thread, &j);
    if (e != 0) return not_checked(e, fault);
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
    if (e != 0) return not_checked(e, fault);
    *ok = j.ok;
    return 0;
}

/* The forms in which a password that was typed may have been hashed: the normal one; and as it is, because older
 * releases knew no other. */
struct typed {
    struct str form[2];
    size_t n;
};

static int forms_of(struct fiber *self, struct str password, struct typed *out, struct fault *fault) {
    *out = (struct typed){.form = {password, password}, .n = 1};
    if (!str_is_utf8(password)) return 0; /* no hash is of such a text */
    if (!text_password(fiber_arena(self), password, &out->form[0]))
        return fault_set(fault, ERR_RESOURCE_EXHAUSTED,
                         "the password needs more memory than a call may have");
    if (!str_eq(out->form[0], password)) out->n = 2;
    return 0;
}

/* Sets *which to the form that the hash is of, or to typed->n when it is of none. */
static int verify_typed(struct fiber *self, const struct typed *typed, struct str hash, size_t *which,
                        struct fault *fault) {
    bool ok = false;
    for (*which = 0; *which < typed->n; ++*which) {
        int e = verify_password(self, typed->form[*which], hash, &ok, fault);
        if (e != 0 || ok) return e;
    }
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void read_account(struct pg_row *row, struct account *out) {
    out->id = pg_take_i64(row);
    out->handle = pg_take_str(row);
    out->display_name = pg_take_str(row);
    out->bio = pg_take_str(row);
    out->follower_count = pg_take_i64(row);
    out->following_count = pg_take_i64(row);
    out->post_count = pg_take_i64(row);
    out->pulled = pg_take_bool(row);
}

int account_get(struct fiber *self, struct domain *d, int64_t id, struct account *out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &ACCOUNT_GET, &r, fault, pg_i64(id));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row))
        return fault_field(fault, ERR_NOT_FOUND, "account_id", "there is no account with this account_id");
    read_account(&row, out);
    pg_end(&row);
    return 0;
}

/* An account with what it was registered with. */
struct registered {
    bool there; /* else nothing below is set */
    struct account account;
    struct str password_hash, registration_key;
};

static int find_handle(struct fiber *self, struct domain *d, struct str handle, struct registered *out,
                       struct fault *fault) {
    struct pg_result *r;
    *out = (struct registered){0};
    int e = pg_ask(self, d->pg, &ACCOUNT_GET_BY_HANDLE, &r, fault, pg_text(handle));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    out->there = pg_next(&row);
    if (!out->there) return 0;
    read_account(&row, &out->account);
    out->password_hash = pg_take_str(&row);
    out->registration_key = pg_take_str(&row);
    pg_end(&row);
    return 0;
}

int account_get_by_handle(struct fiber *self, struct domain *d, struct str handle, struct account *out,
                          struct fault *fault) {
    struct registered found;
    int e = find_handle(self, d, handle, &found, fault);
    if (e != 0) return e;
    if (!found.there)
        return fault_field(fault, ERR_NOT_FOUND, "handle", "there is no account with this handle");
    *out = found.account;
    return 0;
}

int account_summaries(struct fiber *self, struct domain *d, const int64_t *ids, size_t n,
                      struct account_summary **out, size_t *n_out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &ACCOUNT_SUMMARIES, &r, fault, pg_i64_array(ids, n));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct account_summary, (size_t)pg_rows(r));
    for (*n_out = 0; pg_next(&row); ++*n_out) {
        struct account_summary *summary = &(*out)[*n_out];
        summary->id = pg_take_i64(&row);
        summary->handle = pg_take_str(&row);
        summary->display_name = pg_take_str(&row);
    }
    assert(*n_out <= n);
    return 0;
}

/* ---- registering --------------------------------------------------------------------------------------- */

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
    struct pg_result *r;
    e = pg_ask(self, d->pg, &ACCOUNT_INSERT, &r, fault, pg_i64(out->id), pg_text(in->handle),
               pg_text(in->display_name), pg_text(str_from(hash)), pg_text(in->idempotency_key),
               OUTBOX_ROW(&record));
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
    struct registered found;
    int e = find_handle(self, d, in->handle, &found, fault);
    if (e != 0) return e;
    bool same =
        in->idempotency_key.len > 0 && found.there && str_eq(found.registration_key, in->idempotency_key);
    if (same) e = verify_password(self, in->password, found.password_hash, &same, fault);
    if (e != 0) return e;
    if (!same) return fault_field(fault, ERR_ALREADY_EXISTS, "handle", "this handle is taken");
    *out = found.account;
    return 0;
}

int account_register(struct fiber *self, struct domain *d, const struct account_registration *asked,
                     struct account *out, struct new_session *session, struct fault *fault) {
    struct account_registration in = *asked;
    char *hash;
    bool taken;
    *out = (struct account){0};
    if (account_handle_is_reserved(in.handle))
        return fault_field(fault, ERR_INVALID_ARGUMENT, "handle",
                           "handle must not be \"" STR_FMT "\", which is reserved", STR_ARG(in.handle));
    if (in.display_name.len == 0) in.display_name = in.handle;
    int e = hash_password(self, d, in.password, &hash, fault);
    if (e == 0) e = insert_account(self, d, &in, hash, out, &taken, fault);
    if (e == 0 && taken) e = registered_before(self, d, &in, out, fault);
    if (e == 0) e = session_open(self, d, out->id, in.user_agent, session, fault);
    return e;
}

/* ---- logging in, passwords, profiles ------------------------------------------------------------------- */

static int set_hash(struct fiber *self, struct domain *d, int64_t account_id, const char *hash,
                    struct str old, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &ACCOUNT_SET_HASH, &r, fault, pg_i64(account_id), pg_text(str_from(hash)),
                   pg_text(old));
    if (e != 0) return e;
    if (pg_affected(r) == 0)
        return fault_set(fault, ERR_ABORTED, "the password was changed at the same time: try again");
    return 0;
}

/* As much work as a real check, so that the time does not reveal which handles exist. */
static int verify_nothing(struct fiber *self, struct domain *d, const struct typed *typed,
                          struct fault *fault) {
    int e = 0;
    char *unused;
    for (size_t i = 0; i < typed->n && e == 0; i++)
        e = hash_password(self, d, typed->form[i], &unused, fault);
    return e;
}

/* Only the login makes a stronger hash possible, since only now the password is known. If it cannot be made or stored,
 * the login is as good. */
static void upgrade_hash(struct fiber *self, struct domain *d, int64_t account_id, struct str password,
                         struct str old) {
    char *hash;
    if (hash_password(self, d, password, &hash, NULL) == 0) set_hash(self, d, account_id, hash, old, NULL);
}

static bool is_outdated(struct fiber *self, const struct domain *d, struct str hash) {
    const char *text = arena_strndup(fiber_arena(self), hash.ptr, hash.len);
    return password_needs_rehash(text, d->config->password_memory_kib, d->config->password_passes);
}

int account_login(struct fiber *self, struct domain *d, struct str handle, struct str password,
                  struct str user_agent, struct account *out, struct new_session *session,
                  struct fault *fault) {
    struct registered found;
    struct typed typed;
    int e = forms_of(self, password, &typed, fault);
    if (e == 0) e = find_handle(self, d, handle, &found, fault);
    if (e != 0) return e;
    size_t which = typed.n;
    e = found.there ? verify_typed(self, &typed, found.password_hash, &which, fault)
                    : verify_nothing(self, d, &typed, fault);
    if (e != 0) return e;
    if (which == typed.n) return fault_set(fault, ERR_UNAUTHENTICATED, "unknown handle or wrong password");
    *out = found.account;
    if (which > 0 || is_outdated(self, d, found.password_hash))
        upgrade_hash(self, d, out->id, typed.form[0], found.password_hash);
    return session_open(self, d, out->id, user_agent, session, fault);
}

int account_change_password(struct fiber *self, struct domain *d, int64_t account_id, int64_t session_id,
                            struct str current, struct str wanted, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &ACCOUNT_GET_HASH, &r, fault, pg_i64(account_id));
    if (e != 0) return e;
    if (pg_rows(r) == 0) return fault_set(fault, ERR_UNAUTHENTICATED, "the account is gone");
    struct str old = pg_only_str(r);
    struct typed typed;
    size_t which = 0;
    bool already = false;
    char *hash;
    e = forms_of(self, current, &typed, fault);
    if (e == 0) e = verify_typed(self, &typed, old, &which, fault);
    bool ok = which < typed.n;
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

int account_update_profile(struct fiber *self, struct domain *d, int64_t id, struct str display_name,
                           struct str bio, struct account *out, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    event.actor_id = id;
    struct event_record record =
        account_event(a, &event, ROOKERY__EVENTS__V1__EVENT__WHAT_ACCOUNT_UPDATED, d->config->partitions);
    e = pg_ask(self, d->pg, &ACCOUNT_UPDATE_PROFILE, NULL, fault, pg_i64(id), pg_text_or_null(display_name),
               pg_text_or_null(bio), OUTBOX_ROW(&record));
    if (e != 0) return e;
    outbox_publish(self, d, &record, 1);
    return account_get(self, d, id, out, fault);
}

/* ---- permissions --------------------------------------------------------------------------------------- */

int account_set_analyst(struct fiber *self, struct domain *d, int64_t id, bool analyst, struct fault *fault) {
    return pg_ask(self, d->pg, &ACCOUNT_SET_ANALYST, NULL, fault, pg_i64(id), pg_bool(analyst));
}

int account_require_analyst(struct fiber *self, struct domain *d, int64_t id, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &ACCOUNT_IS_ANALYST, &r, fault, pg_i64(id));
    if (e != 0) return e;
    if (pg_only_bool(r)) return 0;
    return fault_set(fault, ERR_PERMISSION_DENIED,
                     "this is for analysts; an operator can grant it (rookery-worker grant HANDLE analyst)");
}
