#!/usr/bin/env bash
# The short forms of scripts/chaos. With nothing dealt: a real social graph, everybody posts twice while the graph
# changes, and the audit is clean. Then the most telling blows, once each.
#
# CHAOS_SEED tries another schedule; scripts/chaos tries a new one at each run.

# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

BUILD=${ROOKERY_BUILD:-$ROOT/build}
export BUILD
stack=${ROOKERY_TEST_STACK:?}
unset ROOKERY_BUILD ROOKERY_GATEWAY ROOKERY_TEST_DATABASE_URL ROOKERY_TEST_REDIS_URL ROOKERY_TEST_STACK
seed=${CHAOS_SEED:-1}

# One TAP of two: the second's results are counted on.
status=0
{
    "$ROOT/scripts/chaos" --tap --seed "$seed" --no-kills --seconds 1 --homes 60 --data "$stack" || echo failed
    "$ROOT/scripts/chaos" --tap --seed "$seed" --each-once --homes 60 || echo failed
} | awk '
    /^(not )?ok / { n++; sub(/ok [0-9]+ - /, "ok " n " - "); print; fflush(); if (/^not/) bad = 1; next }
    /^1\.\.[0-9]+$/ { next }
    /^failed$/ { bad = 1; next }
    { print; fflush() }
    END { print "1.." n; exit bad }' || status=1
exit $status
