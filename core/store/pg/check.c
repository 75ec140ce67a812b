/* The table of what must hold of PostgreSQL. */
#include "core/store/pg/check.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/server_check.h"
#include "core/store/pg/check.sql.h"

/* Times on pages and in logs differ by as much; no promise depends on it. */
#define APART_MS 5000

/* The columns of check.sql. */
enum { SYNCHRONOUS_COMMIT, FSYNC, FULL_PAGE_WRITES, IN_RECOVERY, READ_ONLY, CLOCK_MS, COLUMNS };

static bool says(const PGresult *r, int column, const char *value) {
    return strcmp(PQgetvalue(r, 0, column), value) == 0;
}

/* The server read its clock between asked_ms and now. */
static int64_t apart(int64_t asked_ms, int64_t server_ms) {
    int64_t ahead = asked_ms - server_ms, behind = server_ms - clock_wall_ms();
    int64_t most = ahead > behind ? ahead : behind;
    return most > 0 ? most : 0;
}

bool pg_facts_read(struct pg_facts *out, const PGconn *conn, const PGresult *r, int64_t asked_ms) {
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1 || PQnfields(r) < COLUMNS) return false;
    *out = (struct pg_facts){
        .version = PQserverVersion(conn),
        .synchronous_commit_was_off = says(r, SYNCHRONOUS_COMMIT, "off"),
        .fsync_is_off = says(r, FSYNC, "off"),
        .full_page_writes_are_off = says(r, FULL_PAGE_WRITES, "off"),
        .in_recovery = says(r, IN_RECOVERY, "t"),
        .read_only = says(r, READ_ONLY, "on"),
        .apart_ms = apart(asked_ms, atoll(PQgetvalue(r, 0, CLOCK_MS))),
    };
    return true;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static bool is_old(const void *facts) {
    return ((const struct pg_facts *)facts)->version < 140000;
}

static bool is_in_recovery(const void *facts) {
    return ((const struct pg_facts *)facts)->in_recovery;
}

static bool is_read_only(const void *facts) {
    return ((const struct pg_facts *)facts)->read_only;
}

static bool does_not_wait_for_commits(const void *facts) {
    return ((const struct pg_facts *)facts)->synchronous_commit_was_off;
}

static bool does_not_sync(const void *facts) {
    return ((const struct pg_facts *)facts)->fsync_is_off;
}

static bool writes_parts_of_pages(const void *facts) {
    return ((const struct pg_facts *)facts)->full_page_writes_are_off;
}

static bool clocks_differ(const void *facts) {
    return ((const struct pg_facts *)facts)->apart_ms > APART_MS;
}

static const struct server_check CHECKS[] = {
    {LOG_ERROR, is_old, "PostgreSQL is too old: DATABASE_URL must lead to version 14 or later"},
    {LOG_ERROR, is_in_recovery,
     "PostgreSQL is in recovery, so nothing can be written: DATABASE_URL must lead to the primary, not to a "
     "standby"},
    {LOG_ERROR, is_read_only,
     "PostgreSQL's default_transaction_read_only is on: it must be off for the role and database of "
     "DATABASE_URL"},
    {LOG_WARN, does_not_wait_for_commits,
     "PostgreSQL's synchronous_commit is off: it is set to on for this program's sessions, since what is "
     "acknowledged must be on disk; set it to on for the role of DATABASE_URL"},
    {LOG_WARN, does_not_sync,
     "PostgreSQL's fsync is off: what was acknowledged survives the death of any process, but not a crash of "
     "the machine; set it to on"},
    {LOG_WARN, writes_parts_of_pages,
     "PostgreSQL's full_page_writes is off: what was acknowledged survives the death of any process, but "
     "maybe not a crash of the machine; set it to on"},
    {LOG_WARN, clocks_differ,
     "the clock of this machine and PostgreSQL's differ by more than 5 s: keep both right (NTP); ids and "
     "timelines go by PostgreSQL's, logs by this one"},
};

const char *pg_check(const struct pg_facts *facts, unsigned *logged, struct log *log) {
    return server_check(CHECKS, sizeof CHECKS / sizeof *CHECKS, facts, logged, log);
}
