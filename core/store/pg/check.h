/* What must hold of a PostgreSQL server; checked at each new connection of a pool, before it is used. */
#ifndef ROOKERY_CORE_STORE_PG_CHECK_H
#define ROOKERY_CORE_STORE_PG_CHECK_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/store/pg/pg.h"

/* For PQsendQuery; pg_facts_read takes its one row. If the server's default for synchronous_commit is off, it also
 * makes the session's commits durable. */
extern const struct pg_stmt PG_CHECK;

struct pg_facts {
    int version; /* 150018 is 15.18 */
    bool synchronous_commit_was_off, fsync_is_off, full_page_writes_are_off;
    bool in_recovery, read_only;
    int64_t apart_ms; /* minimum difference of our wall clock and the server's */
};

/* Returns false when r is not that row. asked_ms: when it was sent, by the wall clock. */
bool pg_facts_read(struct pg_facts *out, const PGconn *conn, const PGresult *r, int64_t asked_ms);
/* As server_check. */
const char *pg_check(const struct pg_facts *facts, unsigned *logged, struct log *log);

#endif
