# shellcheck shell=bash
# For test scripts in bash: results in TAP. Sourced.
#
#   check NAME COMMAND...     one test: passes when COMMAND does; what it printed is shown when it fails
#   check_not NAME COMMAND... passes when COMMAND fails
#   says TEXT COMMAND...      for check: the command fails, and prints TEXT (a basic regular expression)
#   skip NAME REASON          a test that cannot run here
#   done_testing              the plan; the last line of the script, and its exit status

TAP_COUNT=0 TAP_FAILED=0

tap_result() { # ok|not-ok NAME OUTPUT
    TAP_COUNT=$((TAP_COUNT + 1))
    if [ "$1" = ok ]; then
        echo "ok $TAP_COUNT - $2"
    else
        TAP_FAILED=$((TAP_FAILED + 1))
        echo "not ok $TAP_COUNT - $2"
        [ -z "$3" ] || printf '# %s\n' "${3//$'\n'/$'\n'# }"
    fi
}
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then tap_result ok "$name"; else tap_result not-ok "$name" "$output"; fi
}
check_not() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then tap_result not-ok "$name" "$output"; else tap_result ok "$name"; fi
}
says() { # TEXT COMMAND...: the command fails, and says so
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "succeeded: $output"
        return 1
    fi
    echo "$output"
    grep -q -- "$text" <<<"$output"
}
skip() {
    TAP_COUNT=$((TAP_COUNT + 1))
    echo "ok $TAP_COUNT - $1 # SKIP $2"
}
done_testing() {
    echo "1..$TAP_COUNT"
    [ $TAP_FAILED = 0 ]
}
