/* Which roles there are. The table itself is workers/roles.c, which knows them all; what works with any role asks here. */
#ifndef ROOKERY_WORKERS_RUNTIME_ROLE_TABLE_H
#define ROOKERY_WORKERS_RUNTIME_ROLE_TABLE_H

#include "workers/runtime/runtime.h"

/* Once, before anything asks: a table with NULL at its end. */
void role_table_set(const struct role *const *table);
const struct role *const *role_table(void);
/* NULL when there is none of this name. */
const struct role *role_find(struct str name);

#endif
