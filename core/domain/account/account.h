/* Accounts and sessions. */
#ifndef ROOKERY_CORE_DOMAIN_ACCOUNT_ACCOUNT_H
#define ROOKERY_CORE_DOMAIN_ACCOUNT_ACCOUNT_H

#include "core/base/map.h"
#include "core/domain/domain.h"

struct account {
    int64_t id;
    struct str handle, display_name, bio; /* in the fiber's arena */
    int64_t follower_count, following_count, post_count;
    bool pulled;
};

struct session {
    int64_t id, account_id;
    int64_t expires_ms;
    int64_t left_ms; /* until then, by the database's clock; only of session_authenticate */
    struct str user_agent;
};

struct new_session {
    struct session session;
    struct str token; /* given to the client, once; only its hash is stored */
};

/* May nobody have this handle (in its normal form)? */
bool account_handle_is_reserved(struct str handle);

struct account_registration {
    struct str handle, password, display_name, idempotency_key, user_agent;
};

/* Texts are in the normal forms that account.proto has for them, here and below. An empty display_name means the
 * handle. INVALID_ARGUMENT (a reserved handle), ALREADY_EXISTS (handle). Hashes on the thread pool. */
int account_register(struct fiber *self, struct domain *d, const struct account_registration *in,
                     struct account *out, struct new_session *session, struct fault *fault);
/* UNAUTHENTICATED, in the same words and about the same time for an unknown handle and a wrong password. The password
 * is as it was typed. A stored hash is replaced when it is of another form than the normal one, or cost less than the
 * settings ask for now. */
int account_login(struct fiber *self, struct domain *d, struct str handle, struct str password,
                  struct str user_agent, struct account *out, struct new_session *session,
                  struct fault *fault);
/* Ends all sessions of the account but session_id. `current` is as it was typed. */
int account_change_password(struct fiber *self, struct domain *d, int64_t account_id, int64_t session_id,
                            struct str current, struct str wanted, struct fault *fault);
/* NOT_FOUND (account_id; for the second function, handle). */
int account_get(struct fiber *self, struct domain *d, int64_t id, struct account *out, struct fault *fault);
int account_get_by_handle(struct fiber *self, struct domain *d, struct str handle, struct account *out,
                          struct fault *fault);
/* ptr NULL leaves a value as it is. */
int account_update_profile(struct fiber *self, struct domain *d, int64_t id, struct str display_name,
                           struct str bio, struct account *out, struct fault *fault);

/* Sets whether the account may make datasets by queries. For the operator: no permission is checked. */
int account_set_analyst(struct fiber *self, struct domain *d, int64_t id, bool analyst, struct fault *fault);
/* PERMISSION_DENIED when the account may not make datasets by queries. */
int account_require_analyst(struct fiber *self, struct domain *d, int64_t id, struct fault *fault);

struct account_summary {
    int64_t id;
    struct str handle, display_name;
};
/* Loads those accounts that exist, in no order. */
int account_summaries(struct fiber *self, struct domain *d, const int64_t *ids, size_t n,
                      struct account_summary **out, size_t *n_out, struct fault *fault);

/* Finds the session of this token. UNAUTHENTICATED when it is unknown, expired or revoked. */
int session_authenticate(struct fiber *self, struct domain *d, struct str token, struct session *out,
                         struct fault *fault);
/* Which of these sessions are still valid: sorted, malloc'ed. */
int session_filter_valid(struct fiber *self, struct domain *d, const int64_t *ids, size_t n,
                         struct ids *valid, struct fault *fault);
/* Newest first, id < before. */
int session_list(struct fiber *self, struct domain *d, int64_t account_id, int64_t before, int limit,
                 struct session **out, size_t *n, struct fault *fault);
/* Idempotent; NOT_FOUND for another account's session. Publishes SessionsRevoked. */
int session_revoke(struct fiber *self, struct domain *d, int64_t account_id, int64_t session_id,
                   struct fault *fault);

#endif
