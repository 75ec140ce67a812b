/* Accounts as an operator names them. */
#ifndef ROOKERY_WORKERS_OPERATOR_NAMED_H
#define ROOKERY_WORKERS_OPERATOR_NAMED_H

#include "core/domain/account/account.h"

/* The account with this handle, which may begin with "@" and have capitals. INVALID_ARGUMENT for what is not a handle,
 * NOT_FOUND. */
int account_named(struct fiber *self, struct domain *d, const char *name, struct account *out,
                  struct fault *fault);

#endif
