#!/usr/bin/env bash
# scripts/mutate, on a small tree with one file and its test: what the test checks is killed, what it leaves open
# survives and is shown, what is listed as equivalent is not held against it, and the tree stays as it was.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

plant() {
    mkdir -p "$tree"/{core/base,gateway,workers,proto,tests/unit/{support,core/base},tests/mutants}
    cp "$root/Makefile" "$tree/"
    cat >"$tree/core/base/planted.c" <<'TEXT'
/* "1 < 2" in a comment or a text is left alone. */
#include "core/base/planted.h"

int planted_cap(int n, int most) {
    return n < most ? n : most;
}

bool planted_is_adult(int age) {
    return age >= 18;
}

bool planted_is_child(int age) {
    return age < 12;
}
TEXT
    cat >"$tree/core/base/planted.h" <<'TEXT'
#include <stdbool.h>
int planted_cap(int n, int most);
bool planted_is_adult(int age);
bool planted_is_child(int age);
TEXT
    # It checks the bound of adults, not that of children; that a cap may be reached cannot be seen.
    cat >"$tree/tests/unit/core/base/test_planted.c" <<'TEXT'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/planted.h"

static void ages_are_known(void **state) {
    (void)state;
    assert_false(planted_is_adult(17));
    assert_true(planted_is_adult(18));
    assert_true(planted_is_adult(19));
    assert_true(planted_is_child(5));
    assert_false(planted_is_child(40));
    assert_int_equal(planted_cap(1, 2), 1);
    assert_int_equal(planted_cap(3, 2), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ages_are_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
TEXT
    cat >"$tree/tests/mutants/equivalent" <<'TEXT'
core/base/planted.c: planted_cap: < -> <=: return n < most ? n : most;
    where the two differ, both values are the same
TEXT
}

# Runs it once: report holds what it printed, status how it ended.
run_mutate() {
    status=0
    report=$(BUILD_MUTATE=$tree/build-mutate "$root/scripts/mutate" --tree "$tree" --unit --verbose 2>&1) || status=$?
}
printed() { grep -qF -- "$1" <<<"$report" || { echo "$report" && return 1; }; }
state_of_tree() { (cd "$tree" && find . -path ./build-mutate -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }

plant
before=$(state_of_tree)
run_mutate
check "a bound that is tested is killed" printed 'killed: core/base/planted.c:9: planted_is_adult: >= -> >'
check "a bound that no test looks at survives" printed 'survived: core/base/planted.c:13: planted_is_child: < -> <='
check "the test that did not notice is named" printed 'not noticed by unit/core/base/test_planted'
check "a number is changed by one" printed 'planted_is_child: 12 -> 13'
check "a listed equivalent is shown with its reason" printed 'where the two differ, both values are the same'
check_not "comments are left alone" printed 'planted.c:1:'
check "the last line counts" printed '10 mutants, 6 killed, 4 survived (1 equivalent), score 67 %'
check "a low score is a failure" test "$status" = 1
check "the tree is as it was" test "$before" = "$(state_of_tree)"

listing=$(BUILD_MUTATE=$tree/build-mutate "$root/scripts/mutate" --tree "$tree" --sample 3 --seed 7 --list)
again=$(BUILD_MUTATE=$tree/build-mutate "$root/scripts/mutate" --tree "$tree" --sample 3 --seed 7 --list)
check "a seed draws the same mutants again" test "$listing" = "$again"
check "a sample has the size asked for" test "$(wc -l <<<"$listing")" = 3
# --- faults that assertions find: one that does, one that does not, and an assertion without a fault ---
mkdir -p "$tree/core/domain" "$tree/tests/unit/core/domain"
cat >"$tree/core/domain/counted.c" <<'TEXT'
#include <assert.h>

#include "core/base/planted.h"

int planted_cap_all(const int *v, int n, int most);
int planted_cap_all(const int *v, int n, int most) {
    int sum = 0;
    assert(most > 0);
    for (int i = 0; i < n; i++) sum += planted_cap(v[i], most);
    assert(sum <= n * most);
    assert(n >= 0);
    return sum;
}
TEXT
cat >"$tree/tests/unit/core/domain/test_counted.c" <<'TEXT'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int planted_cap_all(const int *v, int n, int most);
static void sums_are_capped(void **state) {
    const int v[] = {1, 7};
    (void)state;
    assert_int_equal(planted_cap_all(v, 2, 3), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_capped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
TEXT
cat >"$tree/tests/mutants/assertions" <<'TEXT'
# Two entries.
core/domain/counted.c: planted_cap_all: sum <= n * most
    core/base/planted.c: planted_cap: n < most ? n : most -> n
    unit/core/domain/test_counted

core/domain/counted.c: planted_cap_all: most > 0
    core/domain/counted.c: planted_cap_all: int sum = 0; -> int sum = 1;
    unit/core/domain/test_counted
TEXT
cp "$root/tests/mutants/witness.c" "$tree/tests/mutants/"
try_assertions() {
    status=0
    report=$(BUILD_MUTATE=$tree/build-mutate "$root/scripts/mutate" --tree "$tree" --assertions "$@" 2>&1) || status=$?
}
try_assertions
check "an assertion that does not notice its fault is shown" printed 'not caught: core/domain/counted.c: planted_cap_all: most > 0'
check "with what its test said" printed 'unit/core/domain/test_counted: no assertion failed'
check "an assertion without a fault is named" printed 'no entry: core/domain/counted.c:11: planted_cap_all: n >= 0'
check "the last line counts assertions" printed '3 assertions, 1 caught their fault, 1 did not, 1 without an entry'
check "that is a failure" test "$status" = 1
try_assertions --check
check "a list whose places are there passes" test "$status" = 0
sed -i 's/int sum = 0;/int sum = 9;/; s/sum <= n/sum < n/' "$tree/core/domain/counted.c"
try_assertions --check
check "a place that has gone is named" printed 'core/domain/counted.c: planted_cap_all has not: int sum = 0;'
check "an assertion that has gone is named" printed 'there is no such assertion: core/domain/counted.c: planted_cap_all: sum <= n * most'
check "each fault of our own list has its place" "$root/scripts/mutate" --assertions --check
without_entry() { "$root/scripts/mutate" --assertions --list | grep '^no entry:'; }
check_not "each assertion of ours has a fault there" without_entry
check "a file that is not there is refused" says 'is no C file' "$root/scripts/mutate" --tree "$tree" core/none.c
done_testing
