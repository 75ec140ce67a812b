/* Every role there is, the relay aside. */
#ifndef ROOKERY_WORKERS_ROLES_H
#define ROOKERY_WORKERS_ROLES_H

#include "workers/runtime/runtime.h"

extern const struct role *const ROLES[]; /* NULL at the end */

/* Is this one, of the table, the first that reads its stream? For going through streams. */
bool role_is_first_of_stream(const struct role *const *r);

/* NULL when there is none of this name. */
const struct role *role_find(struct str name);

#endif
