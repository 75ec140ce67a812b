/* Every statement of the program fits the schema: the server prepares each of them on a migrated database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/store/migrate/migrate.h"
#include "tests/unit/support/postgres.h"

static const struct {
    const char *file;
    int line;
    const char *name, *sql;
} STATEMENTS[] = {
#define STATEMENT(file, line, name, sql) {file, line, name, sql},
#include "statements.def"
#undef STATEMENT
};

static int migrated_setup(void **state) {
    char wrong[512] = "";
    postgres_setup(state);
    const struct postgres *p = *state;
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    int e = migrate_run(p->url, 4, nowhere, wrong, sizeof wrong);
    fclose(nowhere);
    if (e != 0) fail_msg("%s", wrong);
    return 0;
}

/* Parameters' types are left to the server, so they must follow from the statement. */
static void test_the_server_prepares_every_statement(void **state) {
    const struct postgres *p = *state;
    PGconn *c = PQconnectdb(p->url);
    int refused = 0;
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    for (size_t i = 0; i < sizeof STATEMENTS / sizeof *STATEMENTS; i++) {
        PGresult *r = PQprepare(c, STATEMENTS[i].name, STATEMENTS[i].sql, 0, NULL);
        if (PQresultStatus(r) != PGRES_COMMAND_OK) {
            fprintf(stderr, "# %s:%d: %s: %s", STATEMENTS[i].file, STATEMENTS[i].line, STATEMENTS[i].name,
                    PQresultErrorMessage(r));
            refused++;
        }
        PQclear(r);
    }
    PQfinish(c);
    assert_int_equal(refused, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_server_prepares_every_statement)};
    return cmocka_run_group_tests_name("statements", tests, migrated_setup, postgres_teardown);
}
