# Counts the results in what one test program printed in TAP (the Test Anything Protocol), as cmocka and the
# test scripts here print it:
#
#   awk -v status=EXIT-STATUS -f tap.awk OUTPUT
#
# Prints "PASSED FAILED SKIPPED", then a line for each failure. A result marked "# SKIP" is skipped (cmocka writes
# "not ok N # SKIP name"); "1..0 # SKIP why" skips the whole program. Several plans add up: cmocka prints one a group.
# A program that ends before its plan is fulfilled, fails without saying which test, or says nothing at all has
# one failure of its own, so that no test is lost silently.
#
# Only lines that begin like a result count: what a program under test prints is mixed in.

function fail(text) {
    failed++
    failures = failures "\n" text
}

/^1\.\.[0-9]+/ {
    plan += substr($1, 4)
    planned = 1
    if (toupper($0) ~ /^1\.\.0 *# *SKIP/) skipped++
}

/^(not )?ok( |$)/ {
    # cmocka reports a group whose setup failed as test 0, which is in no plan.
    if ($0 !~ /^not ok 0 /) seen++
    if (toupper($0) ~ /# *SKIP/) skipped++
    else if (/^ok/) passed++
    else {
        name = $0
        sub(/^not ok *[0-9]* *-? */, "", name)
        fail(name == "" ? "a test without a name" : name)
    }
}

END {
    died = status == 124 || status == 137 ? "ran out of time" : "ended with status " status
    if (planned && seen < plan) fail(died " after " seen + 0 " of " plan " tests")
    else if (status != 0 && !failed) fail(died ", though no test failed")
    else if (!planned && !seen) fail("printed no result")
    print passed + 0, failed + 0, skipped + 0 failures
}
