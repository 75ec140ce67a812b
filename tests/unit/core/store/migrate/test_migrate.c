/* Migrations, against a real PostgreSQL: what is missing is applied once, what does not fit is refused, and an older
 * program runs on a newer release's schema until a migration says that it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/store/migrate/migrate.h"
#include "tests/unit/support/postgres.h"

enum { PARTITIONS = 4 };

/* Releases of a program: one that knows the first two uses legs, one that knows three has no use for them, and the last
 * one removes them. */
static const struct migration TABLE[] = {
    {1, "0001_birds", "CREATE TABLE birds (name text)"},
    {2, "0002_legs", "ALTER TABLE birds ADD COLUMN legs integer"},
    {3, "0003_wings", "ALTER TABLE birds ADD COLUMN wings integer"},
    {4, "0004_no_legs",
     "ALTER TABLE birds DROP COLUMN legs; INSERT INTO settings VALUES ('required_migration', '3')"},
};
static const struct migration CHANGED = {1, "0001_birds", "CREATE TABLE birds (name varchar)"};

static char wrong[512];

static int run(struct postgres *p, const struct migration *table, size_t n) {
    return migrate_run_table(p->url, PARTITIONS, table, n, NULL, wrong, sizeof wrong);
}

static bool fits(struct postgres *p, const struct migration *table, size_t n) {
    return migrate_check_table(p->url, PARTITIONS, table, n, wrong, sizeof wrong);
}

/* The last refusal's sentence holds this. */
static void assert_wrong(const char *text) {
    if (!strstr(wrong, text)) fail_msg("\"%s\" is not in \"%s\"", text, wrong);
}

static int empty(void **state) {
    postgres_run(*state, "DROP TABLE IF EXISTS birds, schema_migrations, settings");
    wrong[0] = 0;
    return 0;
}

static void what_is_missing_is_applied_once_and_in_order(void **state) {
    struct postgres *p = *state;
    assert_false(fits(p, TABLE, 1));
    assert_wrong("it has not been migrated: run \"rookery-gateway migrate\"");
    assert_int_equal(run(p, TABLE, 1), 0);
    assert_false(fits(p, TABLE, 3));
    assert_wrong("migration 0002_legs has not been applied to the database: run \"rookery-gateway migrate\"");
    assert_int_equal(run(p, TABLE, 3), 0);
    assert_int_equal(run(p, TABLE, 3), 0);
    assert_true(fits(p, TABLE, 3));
    assert_int_equal(postgres_number(p, "SELECT count(*) FROM schema_migrations"), 3);
}

static void another_content_is_refused(void **state) {
    struct postgres *p = *state;
    assert_int_equal(run(p, TABLE, 2), 0);
    assert_false(fits(p, &CHANGED, 1));
    assert_wrong("applied with another content");
    assert_int_not_equal(run(p, &CHANGED, 1), 0);
}

static void a_gap_is_refused(void **state) {
    struct postgres *p = *state;
    assert_int_equal(run(p, TABLE, 3), 0);
    postgres_run(p, "DELETE FROM schema_migrations WHERE number = 2");
    assert_false(fits(p, TABLE, 3));
    assert_wrong("migration 0002_legs is missing in the database, though the later 0003_wings is there");
}

static void an_older_program_runs_on_a_newer_schema_and_leaves_it_as_it_is(void **state) {
    struct postgres *p = *state;
    assert_int_equal(run(p, TABLE, 3), 0);
    assert_true(fits(p, TABLE, 2));
    assert_int_equal(run(p, TABLE, 2), 0);
    assert_int_equal(postgres_number(p, "SELECT count(*) FROM schema_migrations"), 3);
    assert_true(fits(p, TABLE, 3));
}

static void a_program_that_uses_what_was_removed_is_refused(void **state) {
    struct postgres *p = *state;
    assert_int_equal(run(p, TABLE, 4), 0);
    assert_true(fits(p, TABLE, 4));
    assert_true(fits(p, TABLE, 3));
    assert_false(fits(p, TABLE, 2));
    assert_wrong("needs a program that knows migration 3, and this one knows those up to 2");
    assert_int_not_equal(run(p, TABLE, 2), 0);
}

static void a_failing_migration_leaves_nothing_of_itself(void **state) {
    struct postgres *p = *state;
    const struct migration table[] = {TABLE[0], {2, "0002_bad", "CREATE TABLE nests (); SELECT 1 / 0"}};
    assert_int_not_equal(run(p, table, 2), 0);
    assert_wrong("0002_bad: ");
    assert_true(fits(p, table, 1));
    assert_int_equal(postgres_number(p, "SELECT count(*) FROM pg_class WHERE relname = 'nests'"), 0);
}

static void the_number_of_partitions_stays(void **state) {
    struct postgres *p = *state;
    assert_int_equal(run(p, TABLE, 3), 0);
    assert_false(migrate_check_table(p->url, PARTITIONS + 1, TABLE, 3, wrong, sizeof wrong));
    assert_wrong("made for ROOKERY_PARTITIONS=4, but it is 5 here");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_missing_is_applied_once_and_in_order, empty),
        cmocka_unit_test_setup(another_content_is_refused, empty),
        cmocka_unit_test_setup(a_gap_is_refused, empty),
        cmocka_unit_test_setup(an_older_program_runs_on_a_newer_schema_and_leaves_it_as_it_is, empty),
        cmocka_unit_test_setup(a_program_that_uses_what_was_removed_is_refused, empty),
        cmocka_unit_test_setup(a_failing_migration_leaves_nothing_of_itself, empty),
        cmocka_unit_test_setup(the_number_of_partitions_stays, empty),
    };
    return cmocka_run_group_tests(tests, postgres_setup, postgres_teardown);
}
