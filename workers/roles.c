/* The table of roles. A new role is one line here. */
#include "workers/roles.h"

#include "workers/counts/counts.h"
#include "workers/jobs/role/role.h"
#include "workers/timeline/chunks.h"
#include "workers/timeline/fanout.h"

const struct role *const ROLES[] = {&FANOUT_ROLE, &CHUNKS_ROLE, &COUNTS_ROLE, &JOBS_ROLE, NULL};
