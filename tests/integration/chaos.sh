#!/usr/bin/env bash
# The short forms of scripts/chaos. With nothing dealt: a real social graph, everybody posts twice while the graph
# changes, and the audit is clean. Then a blow of each sort, with a stepped clock and a restore among them.
#
# The seed is of the commit's hash, so that from one commit to the next other blows are dealt, in another order. It is
# printed; CHAOS_SEED=SEED repeats it.

# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

BUILD=${ROOKERY_BUILD:-$ROOT/build}
export BUILD
stack=${ROOKERY_TEST_STACK:?}
unset ROOKERY_BUILD ROOKERY_GATEWAY ROOKERY_TEST_DATABASE_URL ROOKERY_TEST_REDIS_URL ROOKERY_TEST_STACK
# Sources without a history have the hash 1.
hash=$(git -C "$ROOT" rev-parse --short=7 HEAD 2>/dev/null) || hash=1
seed=${CHAOS_SEED:-$((16#${hash:0:7} % 1000000))}
echo "# CHAOS_SEED=$seed"

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
