/* All roles except the relay. */
#ifndef ROOKERY_WORKERS_ROLES_H
#define ROOKERY_WORKERS_ROLES_H

#include "workers/runtime/role_table.h"

extern const struct role *const ROLES[]; /* NULL at the end */

#endif
