/* The table of roles, given by the program. */
#include "workers/runtime/role_table.h"

#include <assert.h>

static const struct role *const NO_ROLES[] = {NULL};
static const struct role *const *the_table = NO_ROLES;

void role_table_set(const struct role *const *table) {
    assert(table);
    the_table = table;
}

const struct role *const *role_table(void) {
    return the_table;
}

const struct role *role_find(struct str name) {
    for (const struct role *const *r = the_table; *r; r++)
        if (str_eq(name, str_from((*r)->name))) return *r;
    return NULL;
}
