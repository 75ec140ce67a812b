/* The table of roles. workers/roles.c has the table itself and knows all roles; code that works with any role asks
 * here. */
#ifndef ROOKERY_WORKERS_RUNTIME_ROLE_TABLE_H
#define ROOKERY_WORKERS_RUNTIME_ROLE_TABLE_H

#include "workers/runtime/runtime.h"

/* Call it once, before anything asks. The table ends with NULL. */
void role_table_set(const struct role *const *table);
const struct role *const *role_table(void);
/* Returns NULL when there is no role of this name. */
const struct role *role_find(struct str name);

#endif
