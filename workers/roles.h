/* Every role there is, the relay aside. */
#ifndef ROOKERY_WORKERS_ROLES_H
#define ROOKERY_WORKERS_ROLES_H

#include "workers/runtime.h"

extern const struct role *const ROLES[]; /* NULL at the end */

/* NULL when there is none of this name. */
const struct role *role_find(struct str name);

#endif
