/* Database migrations: numbered SQL files (core/store/migrate/migrations/NNNN_name.sql), embedded in the binaries,
 * applied in order, each in one transaction, under an advisory lock, recorded in schema_migrations with a
 * checksum.
 *
 * Blocking (plain libpq): a command's work, not the loop's. Starting daemons only check that the schema has what they
 * need. It may be a newer release's: docs/upgrading.md has the rule for migrations.
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

/* Applies what is missing, printing a line each to out (may be NULL). 0 when all of this binary's are applied; else
 * nonzero and a sentence in error[size]. Safe to run from many processes concurrently. partitions is stored at the first run and
 * must not change. */
int migrate_run(const char *database_url, int partitions, FILE *out, char *error, size_t size);

/* Are all migrations of this binary applied, does no newer one demand a newer binary, and is the partition count the
 * configured one? A sentence in error[size] when not. */
bool migrate_check(const char *database_url, int partitions, char *error, size_t size);

/* The same for the caller's table (sorted by number); the two above use migrations_all. */
int migrate_run_table(const char *database_url, int partitions, const struct migration *table, size_t n,
                      FILE *out, char *error, size_t size);
bool migrate_check_table(const char *database_url, int partitions, const struct migration *table, size_t n,
                         char *error, size_t size);

#endif
