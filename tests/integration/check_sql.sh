#!/usr/bin/env bash
# scripts/check-sql: a tree that keeps the rules passes, and each way of breaking one is named.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

checker=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/scripts/check-sql
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# write FILE LINE...
write() {
    mkdir -p "$(dirname "$tree/$1")"
    printf '%s\n' "${@:2}" >"$tree/$1"
}
lawful_tree() {
    rm -rf "${tree:?}"/*
    write core/nest/nest.c '#include "core/nest/nest.sql.h"' 'int e = pg_ask(self, pg, &LAY_EGG, &r, fault, pg_i64(1));' \
        'log("selected; SELECTION, UPDATED");' 'PQgetvalue(rows, 0, NAME);' 'extern const struct pg_stmt LAY_EGG;'
    write core/nest/nest.sql '-- name: lay_egg' 'SELECT 1;'
    write core/store/migrate/migrations/0001_spine.sql 'CREATE TABLE nests ();'
    write core/store/migrate/migrate.c 'PQexec(conn, "SELECT value FROM settings");'
}
# breaks NAME WHERE RULE-TEXT FILE LINE...: the lawful tree with this file.
breaks() {
    lawful_tree
    write "${@:4}"
    check "$1" refuses "$2" "$3"
}
refuses() { # WHERE RULE-TEXT
    local output
    output=$("$checker" "$tree" 2>&1) && return 1
    echo "$output"
    grep -qF -- "$1: " <<<"$output" && grep -qF -- "$2" <<<"$output"
}

lawful_tree
check "a tree that keeps the rules passes" "$checker" "$tree"
check "this checkout keeps them" "$checker"
breaks "a statement in C" core/nest/egg.c:2 'in a .sql file' core/nest/egg.c 'int egg;' 'static const struct pg_stmt LAY_EGG = {'
breaks "SQL in a literal" core/nest/egg.c:1 'in a .sql file' core/nest/egg.c 'const char *sql = "WITH egg AS (SELECT 1) SELECT 1";'
breaks "in a header too" core/nest/egg.h:1 'in a .sql file' core/nest/egg.h '#define LAY "  INSERT INTO nests"'
breaks "a column by its number" workers/egg.c:1 'not a number' workers/egg.c 'atoi(PQgetvalue(rows, (int)i, 2));'
breaks "a .sql file without its .c file" gateway/egg.sql:1 'no gateway/egg.c beside it' gateway/egg.sql '-- name: egg' 'SELECT 1;'
rm -rf "${tree:?}"/*
check "nothing to look at is not a success" refuses . 'nothing to check'
done_testing
