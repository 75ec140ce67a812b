/* Database migrations: numbered SQL files (core/store/migrate/migrations/NNNN_name.sql), embedded in the binaries,
 * applied in order, each in one transaction, under an advisory lock, recorded in schema_migrations with a
 * checksum.
 *
 * Blocking (plain libpq): a command's work, not the loop's. Daemons only check at their start that the schema has
 * what they need. It may be a newer release's: docs/upgrading.md has the rule for migrations.
 */
#ifndef ROOKERY_CORE_STORE_MIGRATE_MIGRATE_H
#define ROOKERY_CORE_STORE_MIGRATE_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct migration {
    int number;
    const char *name; /* "0001_accounts" */
    const char *sql;
};

/* Sorted by number; *n entries. */
const struct migration *migrations_all(size_t *n);

/* Applies the missing migrations, printing a line each to out (may be NULL). Returns 0 when all of this binary's are
 * applied; else nonzero with a sentence in error[size]. Several processes may run it concurrently. partitions is
 * stored at the first run and must not change. */
int migrate_run(const char *database_url, int partitions, FILE *out, char *error, size_t size);

/* Whether all migrations of this binary are applied, no newer one demands a newer binary, and the partition count is
 * the configured one. If not, a sentence in error[size]. */
bool migrate_check(const char *database_url, int partitions, char *error, size_t size);

/* The same for the caller's table (sorted by number); the two above use migrations_all. */
int migrate_run_table(const char *database_url, int partitions, const struct migration *table, size_t n,
                      FILE *out, char *error, size_t size);
bool migrate_check_table(const char *database_url, int partitions, const struct migration *table, size_t n,
                         char *error, size_t size);

#endif
