/* The table of roles. A new role is one line here. */
#include "workers/roles.h"

#include "workers/counts/counts.h"
#include "workers/jobs/role/role.h"
#include "workers/timeline/chunks.h"
#include "workers/timeline/fanout.h"

const struct role *const ROLES[] = {&FANOUT_ROLE, &CHUNKS_ROLE, &COUNTS_ROLE, &JOBS_ROLE, NULL};

bool role_is_first_of_stream(const struct role *const *r) {
    for (const struct role *const *other = ROLES; other < r; other++)
        if ((*other)->stream == (*r)->stream) return false;
    return true;
}

const struct role *role_find(struct str name) {
    for (const struct role *const *r = ROLES; *r; r++)
        if (str_eq(name, str_from((*r)->name))) return *r;
    return NULL;
}
