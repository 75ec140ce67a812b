/* Runs an analyst's statement, on a connection of its own that may only read.
 *
 * Blocks: for a thread, not for the loop. What keeps the statement in bounds:
 *   - the connection's role, which must not be our own, a superuser or a member of ours, and must not be able to read
 *     our tables. That is checked at the start. It is the session's own role, so the statement cannot return to
 *     another.
 *   - the extended protocol, which takes one statement; it runs in a read-only transaction that is never committed.
 *   - statement_timeout, which the statement cannot change for itself, and the caller's limits and *stop: then the
 *     server is asked to cancel the statement and the connection is closed.
 */
#ifndef ROOKERY_CORE_STORE_PG_READER_H
#define ROOKERY_CORE_STORE_PG_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/str.h"

enum pg_cell_kind { PG_CELL_NUMBER, PG_CELL_BOOLEAN, PG_CELL_TEXT };

struct pg_cell {
    struct str text; /* as PostgreSQL prints it; borrowed for the call */
    bool is_null;
    enum pg_cell_kind kind; /* of the column */
};

struct pg_reader {
    const char *url;
    const char *schema;          /* the search path, before pg_catalog */
    const char *forbidden_table; /* "public.sessions": the role may not read it */
    int timeout_ms;
    _Atomic bool *stop;
    /* Called once with the columns' names (as text cells), then for each row. Returning false ends the reading,
     * without an error. */
    bool (*row)(void *context, const struct pg_cell *cells, size_t n);
    void *context;
};

/* Writes the role in the URL to out[size]. Returns false when the URL has none. */
bool pg_reader_role(const char *url, char *out, size_t size);

/* Returns 0 when all rows were given, when row returned false, and at *stop. ERR_UNAVAILABLE when the server cannot
 * be reached, or is at fault itself (its disk is full, say): that sentence is for the log alone;
 * ERR_FAILED_PRECONDITION when the role is not fit; ERR_INVALID_ARGUMENT when the statement is wrong, forbidden, too
 * slow or not a query. With a sentence in error[size]. */
int pg_reader_run(const struct pg_reader *r, const char *statement, char *error, size_t size);

#endif
