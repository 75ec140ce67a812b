/* Group commit: rows from many fibers, written in one statement.
 *
 * A batcher has one statement, which takes its rows as arrays (unnest). Fibers submit a row each and wait. The rows
 * of one turn of the loop go out together. While `max_in_flight` batches are at the database, the rows that arrive
 * form the next batch. So a single row does not wait for others, and under load the batches grow by themselves.
 *
 * The statement answers each row by its ordinal: its first result column is the row's 1-based place in the arrays, as
 * bigint (WITH ORDINALITY). Rows of the answer may come in any order; an input row may be without one (ON CONFLICT DO
 * NOTHING).
 *
 *   WITH input AS (SELECT * FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS t (id, body, place)),
 *        added AS (INSERT INTO posts (id, body) SELECT id, body FROM input
 *                  ON CONFLICT DO NOTHING RETURNING id)
 *   SELECT place, added.id IS NOT NULL FROM input LEFT JOIN added USING (id)
 *
 * Failures: when the database refuses a batch (ERR_SQL, ERR_SQL_CONFLICT, a constraint), each of its rows is retried
 * alone, by its own fiber and within its own deadline, so a bad row fails by itself. ERR_CONNECTION_LOST,
 * ERR_UNAVAILABLE, ERR_OVERLOADED and a statement that timed out go to every row of the batch. A fiber that is
 * interrupted withdraws its row if it has not been sent; after that the row is written, or not, without it. More than
 * 4,096 rows waiting: ERR_OVERLOADED. The rows of a batch are one transaction, in no order that a caller may rely on.
 */
#ifndef ROOKERY_CORE_STORE_PG_BATCHER_H
#define ROOKERY_CORE_STORE_PG_BATCHER_H

#include "core/store/pg/pg.h"

struct pg_batcher;

/* What is batched: static const. */
struct pg_batch_kind {
    const char *name; /* for metrics: lower case and digits */
    const struct pg_stmt *stmt;
    size_t max_rows;      /* in a statement; 0: 256 */
    size_t max_in_flight; /* batches at the database; 0: 2 */
    /* Appends the statement's parameters for n > 0 rows, whose order is their ordinal. rows[i] is what the i-th fiber
     * submitted. Memory comes from args->arena. Only arrays and plain values: a text outside an array is borrowed
     * (pg.h), and the statement may outlive the row that holds it. May not suspend. */
    void (*build)(const void *const *rows, size_t n, struct pg_args *args);
    /* Reads the answer of one row, behind its ordinal, to its last column; row NULL when the statement gave it none.
     * Runs in the fiber that submitted; copies what it keeps of the row into arena (that fiber's). Writes *out.
     * Returns 0 or an ERR_* of its own, which pg_batcher_submit returns. NULL: answers are ignored. */
    int (*take)(struct pg_row *row, struct arena *arena, void *out);
};

/* pg and kind are borrowed for the batcher's life. Returns NULL on allocation failure. */
struct pg_batcher *pg_batcher_new(struct loop *l, struct pg *pg, const struct pg_batch_kind *kind,
                                  struct metrics *metrics);
/* Waits until every batch is answered, and frees. No fiber may submit from the call on. */
void pg_batcher_close(struct fiber *self, struct pg_batcher *b);

/* Writes the row in a batch and waits for its answer. row is borrowed until the call returns; it must be complete at
 * the call. out is what take writes; may be NULL if take allows it. Returns 0, an error of take, or one of pg_exec's.
 * fault may be NULL. */
int pg_batcher_submit(struct fiber *self, struct pg_batcher *b, const void *row, void *out,
                      struct fault *fault);

#endif
