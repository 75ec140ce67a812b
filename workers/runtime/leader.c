/* Leases in role_leases. */
#include "workers/runtime/leader.h"
#include "workers/runtime/leader.sql.h"

bool leader_lead(struct fiber *self, struct worker *w, const char *name, int lease_s) {
    struct pg_result *r;
    return pg_ask(self, w->domain.pg, &LEADER_LEAD, &r, NULL, pg_text(str_from(name)),
                  pg_text(str_from(w->consumer)), pg_i32(lease_s)) == 0 &&
           pg_rows(r) == 1;
}
