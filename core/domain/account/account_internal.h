/* What account.c and session.c share. */
#ifndef ROOKERY_CORE_DOMAIN_ACCOUNT_ACCOUNT_INTERNAL_H
#define ROOKERY_CORE_DOMAIN_ACCOUNT_ACCOUNT_INTERNAL_H

#include "core/domain/account/account.h"

/* A new session with a new token. */
int session_open(struct fiber *self, struct domain *d, int64_t account_id, struct str user_agent,
                 struct new_session *out, struct fault *fault);
/* Ends all sessions of the account but `keep`, and publishes SessionsRevoked. */
int session_revoke_others(struct fiber *self, struct domain *d, int64_t account_id, int64_t keep,
                          struct fault *fault);

#endif
