/* A PostgreSQL connection for loading in bulk: plain libpq, whose waiting is done on the thread pool, so that the
 * loop (and with it the node's lease) lives on. One transaction. */
#ifndef ROOKERY_TESTS_LOAD_BULK_H
#define ROOKERY_TESTS_LOAD_BULK_H

#include <libpq-fe.h>

#include "core/async/loop.h"
#include "load.h"

struct bulk {
    PGconn *connection;
    struct buf rows; /* of the COPY under way, not yet sent */
    bool failed;     /* said on standard error; everything after it is skipped */
};

/* Connects and begins. False after a sentence. Undo with bulk_close, which rolls back what was not committed. */
bool bulk_open(struct fiber *self, struct bulk *b, const char *url);
void bulk_close(struct bulk *b);
/* Runs one statement; *value (may be NULL) is the first column of the first row. */
bool bulk_exec(struct fiber *self, struct bulk *b, const char *sql, int64_t *value);

/* COPY ... FROM STDIN in text format: begin, append whole rows to b->rows and call bulk_row after each, end. */
bool bulk_copy(struct fiber *self, struct bulk *b, const char *sql);
bool bulk_row(struct fiber *self, struct bulk *b);
bool bulk_copy_end(struct fiber *self, struct bulk *b);

#endif
