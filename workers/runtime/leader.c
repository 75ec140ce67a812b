/* Leases in role_leases. */
#include "workers/runtime/leader.h"

static const struct pg_stmt LEAD = {
    .name = "leader_lead",
    .sql = "INSERT INTO role_leases AS l (name, holder, expires_at)"
           " VALUES ($1, $2, now() + $3 * interval '1 second')"
           " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at"
           " WHERE l.holder = excluded.holder OR l.expires_at < now() RETURNING 1",
};

bool leader_lead(struct fiber *self, struct worker *w, const char *name, int lease_s) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_text(&args, str_from(name));
    pg_text(&args, str_from(w->consumer));
    pg_i32(&args, lease_s);
    struct pg_result *r;
    return pg_exec(self, w->domain.pg, &LEAD, &args, &r, NULL) == 0 && pg_rows(r) == 1;
}
