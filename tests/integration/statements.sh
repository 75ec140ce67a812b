#!/usr/bin/env bash
# The SQL beside the code: a file of statements becomes a header, and each way of being wrong is named with its line.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${ROOKERY_BUILD:-build}
[[ $build == /* ]] || build=$root/$build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

# Each takes the lines of egg.sql.
prints() { # LINE-OF-THE-HEADER LINE...
    local output want=$1
    shift
    printf '%s\n' "$@" >egg.sql
    output=$("$build/generate/statements" egg.sql 2>&1) || return 1
    echo "$output"
    [[ $output == *"$want"* ]]
}
refuses() { # COMPLAINT LINE...
    local output want=$1
    shift
    printf '%s\n' "$@" >egg.sql
    output=$("$build/generate/statements" egg.sql 2>&1 >/dev/null) && return 1
    echo "$output"
    [[ $output == *"$want"* ]]
}
twice() {
    local output
    printf '%s\n' '-- name: lay_egg' 'SELECT 1;' | tee egg.sql >nest.sql
    output=$("$build/generate/statements" --list egg.sql nest.sql 2>&1 >/dev/null) && return 1
    echo "$output"
    grep -qF 'nest.sql:1: a statement of this name is in egg.sql:1: lay_egg' <<<"$output"
}
# compiles C-TEXT: with the header of egg.sql.
compiles() {
    printf '%s\n' '-- name: lay_egg' 'SELECT "a\b" FROM nests' 'WHERE id = 7;' '-- name: old_egg shared' 'SELECT 2;' >egg.sql
    "$build/generate/statements" egg.sql >egg.sql.h || return 1
    printf '#include "core/store/pg/pg.h"\nextern const struct pg_stmt OLD_EGG;\n#include "egg.sql.h"\n%s\n' "$1" >egg.c
    gcc -Wall -Werror -Wunused-const-variable=2 -I"$root" -I. -c egg.c -o egg.o 2>&1
}
shows_unused() {
    local output
    output=$(compiles '') && return 1
    echo "$output"
    grep -q 'egg.sql:1:.*LAY_EGG.*defined but not used' <<<"$output"
}

check "a statement is a constant of its name" prints 'static const struct pg_stmt LAY_EGG = {' '-- name: lay_egg' 'SELECT 1;'
check "that may be read only" prints '.read_only = true' '-- name: lay_egg read_only' 'SELECT 1;'
check "it is not, unless it says so" prints '.read_only = false' '-- name: lay_egg' 'SELECT 1;'
check "other files see it when it is shared" prints $'\nconst struct pg_stmt LAY_EGG = {' '-- name: lay_egg shared' 'SELECT 1;'
check "lines stay, without the end" prints $'"SELECT 1\\n"\n           "FROM nests",' '-- name: lay_egg' '-- Why.' 'SELECT 1' '' 'FROM nests;'
check "a constant is its number" prints 'state = 2 AND id = 1::bigint' '-- name: lay_egg' 'state = :JOB_STATE_RUNNING AND id = 1::bigint;'
check "a constant that is not there" refuses 'egg.sql:3: no constant of this name' '-- name: lay_egg' 'SELECT' ':JOB_STATE_HATCHED;'
check "a statement without a name" refuses 'egg.sql:2: a statement without a name' '-- Why.' 'SELECT 1;'
check "a name that is none" refuses 'egg.sql:1: a name is' '-- name: layEgg' 'SELECT 1;'
check "no name at all" refuses 'egg.sql:1: a name is' '-- name:' 'SELECT 1;'
check "an unknown word" refuses 'egg.sql:1: a word behind the name that is not read_only or shared: warm' '-- name: lay_egg warm' 'SELECT 1;'
check "an empty statement" refuses 'egg.sql:1: an empty statement: lay_egg' '-- name: lay_egg' '-- Why.' '-- name: eat_egg' 'SELECT 1;'
check "an empty last statement" refuses 'egg.sql:3: an empty statement: eat_egg' '-- name: lay_egg' 'SELECT 1;' '-- name: eat_egg' ';'
check "a statement without its end" refuses 'egg.sql:1: a statement ends with ";": lay_egg' '-- name: lay_egg' 'SELECT 1' '-- name: eat_egg' 'SELECT 1;'
check "two of one name in a file" refuses 'egg.sql:3: a statement of this name is in egg.sql:1: lay_egg' '-- name: lay_egg' 'SELECT 1;' '-- name: lay_egg' 'SELECT 1;'
check "two of one name in two files" twice
check "the header compiles" compiles 'const struct pg_stmt *egg(void); const struct pg_stmt *egg(void) { return &LAY_EGG; }'
check "the compiler shows a statement that nobody runs" shows_unused
done_testing
