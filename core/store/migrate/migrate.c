/* Migrations: apply the missing ones, in order; refuse a database that does not fit.
 *
 *   1. Connect; take the session's advisory lock, so that one process migrates and the others wait.
 *   2. Make schema_migrations and settings if they are not there.
 *   3. Compare what is recorded with the table: same number, name and checksum, no gap.
 *   4. Apply each missing migration, and insert the row that records it, in one transaction.
 *
 * What is recorded behind the table's last migration is a newer release's. The older release runs beside it, also after
 * the newer one was taken back, so its programs start on that schema: migrations add, until one removes what an older
 * release uses. That one names, in the setting required_migration, the migration that a program must know from then on.
 *
 * Any failure ends the run with one sentence; the transaction it happened in is undone, earlier ones stand. The lock
 * ends with the connection. The SQL is here, not in statements beside it (core/store/pg/pg.h): it makes the schema
 * that statements need, on a connection of its own.
 */
#include "core/store/migrate/migrate.h"

#include <libpq-fe.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Any number that nothing else in the database uses: "rookery" in ASCII. */
#define MIGRATE_IT ": run \"rookery-gateway migrate\""
#define LOCK_SQL "SELECT pg_advisory_lock(32210646989566585)"
#define CHECKSUM_HEX (2 * crypto_generichash_BYTES + 1)

struct run {
    PGconn *conn;
    const struct migration *table;
    size_t n;
    int partitions;
    char *error;
    size_t size;
};

static bool fail(const struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(const struct run *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->error, r->size, format, args);
    va_end(args);
    return false;
}

/* "doing so: the server's words", without its line ends. */
static bool fail_database(const struct run *r, const char *doing) {
    const char *message = PQerrorMessage(r->conn);
    return fail(r, "%s: %.*s", doing, (int)strcspn(message, "\n"), message);
}

static bool execute(const struct run *r, const char *sql, const char *doing) {
    PGresult *result = PQexec(r->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || fail_database(r, doing);
}

static void checksum(const char *sql, char hex[static CHECKSUM_HEX]) {
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)sql, strlen(sql), NULL, 0);
    sodium_bin2hex(hex, CHECKSUM_HEX, hash, sizeof hash);
}

/* ---- connecting ---- */

static bool run_connect(struct run *r, const char *url) {
    const char *keys[] = {"connect_timeout", "application_name", "dbname", NULL};
    const char *values[] = {"10", "rookery-migrate", url, NULL};
    if (sodium_init() < 0) return fail(r, "libsodium cannot be initialised");
    r->conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(r->conn) != CONNECTION_OK) return fail_database(r, "connecting to the database");
    return execute(r, "SET client_min_messages = warning", "preparing the session");
}

/* ---- what is recorded ---- */

static bool make_tables(const struct run *r) {
    return execute(r,
                   "CREATE TABLE IF NOT EXISTS schema_migrations ("
                   " number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
                   " applied_at timestamptz NOT NULL DEFAULT now());"
                   "CREATE TABLE IF NOT EXISTS settings (name text PRIMARY KEY, value text NOT NULL)",
                   "making the table of migrations");
}

/* Of the rows of schema_migrations; and of a row that has one value. */
enum { NUMBER, NAME, CHECKSUM };
enum { VALUE };

static bool row_fits(const struct run *r, const PGresult *rows, size_t i) {
    int number = atoi(PQgetvalue(rows, (int)i, NUMBER));
    const char *name = PQgetvalue(rows, (int)i, NAME);
    if (i >= r->n) return true; /* a newer release's */
    if (number != r->table[i].number) {
        return fail(r, "migration %s is missing in the database, though the later %s is there",
                    r->table[i].name, name);
    }
    char hex[CHECKSUM_HEX];
    checksum(r->table[i].sql, hex);
    if (strcmp(hex, PQgetvalue(rows, (int)i, CHECKSUM)) != 0) {
        return fail(r, "migration %s was applied with another content (checksum mismatch)", name);
    }
    return true;
}

/* Does the table reach as far as the newest migration that removed something demands? */
static bool compare_required(const struct run *r) {
    PGresult *rows = PQexec(r->conn, "SELECT value FROM settings WHERE name = 'required_migration'");
    bool good = PQresultStatus(rows) == PGRES_TUPLES_OK || fail_database(r, "reading the settings");
    int last = r->n > 0 ? r->table[r->n - 1].number : 0;
    if (good && PQntuples(rows) > 0 && atoi(PQgetvalue(rows, 0, VALUE)) > last) {
        good = fail(
            r,
            "the database needs a program that knows migration %s, and this one knows those up to %d: it "
            "is too old",
            PQgetvalue(rows, 0, VALUE), last);
    }
    PQclear(rows);
    return good;
}

/* The first *applied migrations recorded in the database are those of the table, or all of the table's are recorded and
 * the others are newer. */
static bool compare(const struct run *r, size_t *applied) {
    PGresult *rows = PQexec(r->conn, "SELECT number, name, checksum FROM schema_migrations ORDER BY number");
    bool good =
        PQresultStatus(rows) == PGRES_TUPLES_OK || fail_database(r, "reading the table of migrations");
    *applied = good ? (size_t)PQntuples(rows) : 0;
    for (size_t i = 0; good && i < *applied; i++) good = row_fits(r, rows, i);
    PQclear(rows);
    return good && compare_required(r);
}

static bool compare_partitions(const struct run *r) {
    PGresult *rows = PQexec(r->conn, "SELECT value FROM settings WHERE name = 'partitions'");
    bool good = PQresultStatus(rows) == PGRES_TUPLES_OK || fail_database(r, "reading the settings");
    if (good && PQntuples(rows) == 0) {
        good = fail(r, "the database has no number of partitions: it has not been migrated" MIGRATE_IT);
    } else if (good && atoi(PQgetvalue(rows, 0, VALUE)) != r->partitions) {
        good = fail(r, "the database was made for ROOKERY_PARTITIONS=%s, but it is %d here",
                    PQgetvalue(rows, 0, VALUE), r->partitions);
    }
    PQclear(rows);
    return good;
}

static bool store_partitions(const struct run *r) {
    char number[16];
    snprintf(number, sizeof number, "%d", r->partitions);
    const char *values[] = {number};
    PGresult *result = PQexecParams(r->conn,
                                    "INSERT INTO settings (name, value) VALUES ('partitions', $1)"
                                    " ON CONFLICT (name) DO NOTHING",
                                    1, NULL, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK || fail_database(r, "storing the settings");
    PQclear(result);
    return good;
}

/* ---- applying ---- */

static bool record(const struct run *r, const struct migration *m) {
    char number[16], hex[CHECKSUM_HEX];
    snprintf(number, sizeof number, "%d", m->number);
    checksum(m->sql, hex);
    const char *values[] = {number, m->name, hex};
    PGresult *result =
        PQexecParams(r->conn, "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)", 3,
                     NULL, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK || fail_database(r, m->name);
    PQclear(result);
    return good;
}

static bool apply(const struct run *r, const struct migration *m, FILE *out) {
    if (!execute(r, "BEGIN", m->name) || !execute(r, m->sql, m->name)) return false;
    if (PQtransactionStatus(r->conn) != PQTRANS_INTRANS) {
        return fail(r, "%s: a migration may not end its transaction", m->name);
    }
    if (!record(r, m) || !execute(r, "COMMIT", m->name)) return false;
    if (out) fprintf(out, "applied %s\n", m->name);
    return true;
}

static bool run_all(const struct run *r, FILE *out) {
    size_t applied;
    if (!execute(r, LOCK_SQL, "waiting for other migrations") || !make_tables(r) || !compare(r, &applied) ||
        !store_partitions(r) || !compare_partitions(r)) {
        return false;
    }
    for (size_t i = applied; i < r->n; i++) {
        if (!apply(r, &r->table[i], out)) return false;
    }
    return true;
}

int migrate_run_table(const char *database_url, int partitions, const struct migration *table, size_t n,
                      FILE *out, char *error, size_t size) {
    struct run r = {.table = table, .n = n, .partitions = partitions, .error = error, .size = size};
    bool good = run_connect(&r, database_url) && run_all(&r, out);
    PQfinish(r.conn);
    return good ? 0 : 1;
}

/* ---- checking ---- */

static bool has_tables(const struct run *r) {
    PGresult *rows = PQexec(r->conn, "SELECT to_regclass('schema_migrations') IS NOT NULL"
                                     " AND to_regclass('settings') IS NOT NULL");
    bool good = PQresultStatus(rows) == PGRES_TUPLES_OK || fail_database(r, "looking for the schema");
    if (good && strcmp(PQgetvalue(rows, 0, VALUE), "t") != 0) {
        good = fail(r, "the database has no schema: it has not been migrated" MIGRATE_IT);
    }
    PQclear(rows);
    return good;
}

static bool is_current(const struct run *r) {
    size_t applied;
    if (!has_tables(r) || !compare(r, &applied)) return false;
    if (applied < r->n) {
        return fail(r, "migration %s has not been applied to the database" MIGRATE_IT,
                    r->table[applied].name);
    }
    return compare_partitions(r);
}

bool migrate_check_table(const char *database_url, int partitions, const struct migration *table, size_t n,
                         char *error, size_t size) {
    struct run r = {.table = table, .n = n, .partitions = partitions, .error = error, .size = size};
    bool good = run_connect(&r, database_url) && is_current(&r);
    PQfinish(r.conn);
    return good;
}

/* ---- with the migrations of this binary ---- */

int migrate_run(const char *database_url, int partitions, FILE *out, char *error, size_t size) {
    size_t n;
    const struct migration *table = migrations_all(&n);
    return migrate_run_table(database_url, partitions, table, n, out, error, size);
}

bool migrate_check(const char *database_url, int partitions, char *error, size_t size) {
    size_t n;
    const struct migration *table = migrations_all(&n);
    return migrate_check_table(database_url, partitions, table, n, error, size);
}
