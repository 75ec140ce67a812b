/* Leases in role_leases. */
#include "workers/runtime/leader.h"
#include "workers/runtime/leader.sql.h"

bool leader_lead(struct fiber *self, struct worker *w, const char *name, int lease_s) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_text(&args, str_from(name));
    pg_text(&args, str_from(w->consumer));
    pg_i32(&args, lease_s);
    struct pg_result *r;
    return pg_exec(self, w->domain.pg, &LEADER_LEAD, &args, &r, NULL) == 0 && pg_rows(r) == 1;
}
