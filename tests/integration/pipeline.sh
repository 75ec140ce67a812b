#!/usr/bin/env bash
# scripts/pipeline/Makefile: the three steps apart give the table that `jobs fit` gives in one, run again it does only
# what has changed, and what goes wrong is said and leaves nothing half done.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

export worker=${ROOKERY_BUILD:-$ROOT/build}/rookery-worker
data=${ROOKERY_SHARED:-$ROOT/../shared}/data/penguins
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Slices whose names are no file names, one of them missing; columns whose names are no words. y = 3 + 2x in the
# slice of the blank, and noisy elsewhere.
table() {
    cat <<'CSV'
wing,"the ""x""",y %,weight
a b,1,5,1
a b,2,7,1
a b,4,11,1
-5%,1,2,1
-5%,2,2.5,2
-5%,3,4.5,1
"é,/",1,-1,1
"é,/",2,NA,1
"é,/",3,4,1
"é,/",5,4,1
,1,1,1
,2,3,2
,3,2,1
one,1,1,1
CSV
}
# The worker, which also writes down what it is asked to do, and refuses the parts whose name begins with $REFUSE.
cat >recorder <<'SH'
#!/bin/sh
echo "$2 ${3##*/}" >>asked
case "$2 ${3##*/}" in "fit ${REFUSE:-none}"*) echo "recorder: refused" >&2; exit 1 ;; esac
exec "$worker" "$@"
SH
chmod +x recorder

pipeline() {
    : >asked
    make -s -f "$ROOT/scripts/pipeline/Makefile" -j2 WORKER=./recorder FILE=table.csv SLICE_BY=wing Y='y %' X='the "x"' "$@"
}
directly() { "$worker" jobs fit table.csv --slice-by wing --y 'y %' --x 'the "x"' --quiet "$@"; }
asked() { # STEP N: the worker was asked N times for it
    local count
    count=$(grep -c "^$1 " asked)
    echo "asked $count times for $1"
    [ "$count" = "$2" ]
}
says() { # TEXT COMMAND...: the command fails, and says so
    local text=$1 output
    shift
    output=$("$@" 2>&1) && echo "succeeded: $output" && return 1
    echo "$output"
    [[ $output == *"$text"* ]]
}
# What a run makes besides the table is all there, and nothing else: no file of an attempt.
no_leftovers() { ! find results -type f | grep -vE '/(table\.csv|settings|parts\.mk|(parts|fits)/slice-[A-Za-z0-9._-]+\.(rkpart|csv))$'; }

table >table.csv
check "slices are fitted and combined" pipeline
check "each slice is a task of its own" asked fit 5
check "the table is that of one fit" cmp <(directly) results/table.csv
check "an exact slice has its exact coefficients" grep -q '^a b,3,0,3,2,1,ok$' <(pipeline OPTIONS=--wide && cut -d, -f1-7 results/table.csv)
check "with options it is so too" cmp <(directly --wide) results/table.csv
pipeline >log 2>&1

check "run again" pipeline
check "it does nothing" [ ! -s asked ]
touch table.csv
check "run again on a newer file of the same rows" pipeline
check "it slices" asked slice 1
check "but fits nothing" asked fit 0
sed -i 's/^one,1,1,1/one,1,2,1/; $a zz,1,1,1\nzz,2,1,1\nzz,3,2,1' table.csv
check "run again with a row changed, and a new slice" pipeline
check "it fits those two" asked fit 2
check "and the table is that of one fit" cmp <(directly) results/table.csv
sed -i '/^zz/d; /^a b/d' table.csv
check "run again with two slices gone" pipeline
check "it fits nothing" asked fit 0
check "and the table is without them" cmp <(directly) results/table.csv
check "weights and a policy are options like others" pipeline OPTIONS='--weights weight --missing mean'
check "the table is that of one fit with them" cmp <(directly --weights weight --missing mean) results/table.csv
check "the program may be several words, as with a container" pipeline WORKER='env A=b ./recorder'
check "small slices can share a task" pipeline PART_ROWS=100
check "one task then" asked fit 1
check "and the table stays the same" cmp <(directly) results/table.csv
check "nothing else is left in the folder" no_leftovers

check "clean takes all of it away" make -s -f "$ROOT/scripts/pipeline/Makefile" clean
check "and leaves an empty folder" rmdir results

export REFUSE=slice-one
check "a task that fails ends the run" says 'recorder: refused' pipeline -k
check "without a table" [ ! -e results/table.csv ]
check "the others were done" [ "$(find results/fits -name '*.csv' | wc -l)" = 3 ]
unset REFUSE
check "run again when it is mended" pipeline
check "it fits only the one that failed" asked fit 1
check "and there is the table" cmp <(directly) results/table.csv
cp results/table.csv before.csv
echo 'a,b' >>table.csv
check "a bad line is named" says 'table.csv, line 13' pipeline
check "and the table of before is still there" cmp before.csv results/table.csv
check "nor is anything half done" no_leftovers
table >table.csv

check "an unknown column is named" says 'colour' pipeline SLICE_BY=colour
check "an unknown option is refused" says '--sideways' pipeline OPTIONS=--sideways
check "a file that is not there is named" says 'FILE=none.csv: there is no such file' pipeline FILE=none.csv
check "so is a program" says 'WORKER=./none: there is no such program' pipeline WORKER=./none
check "what is not given is asked for" says 'SLICE_BY=... is missing' pipeline SLICE_BY=
check "a file name with a blank is refused" says 'hold blanks' pipeline FILE='a b.csv'
check "help needs nothing" make -s -f "$ROOT/scripts/pipeline/Makefile" help

# The published table, to the last digits of exact arithmetic.
penguins_are_right() {
    pipeline FILE="$data/penguins.csv" SLICE_BY=species Y=flipper_length_mm X=bill_length_mm OPTIONS=--wide || return 1
    cat results/table.csv
    awk -F, 'NR == FNR { n[$1] = $4; dropped[$1] = $3; a[$1] = $8; b[$1] = $10; r2[$1] = $14; next }
        function near(x, y) { return (x - y) ^ 2 <= (1e-12 * y) ^ 2 }
        FNR > 1 { good += $2 == n[$1] && $3 == dropped[$1] && near($4, a[$1]) && near($5, b[$1]) && near($6, r2[$1]) && $7 == "ok" }
        END { exit good != 3 || FNR != 4 }' "$data/customer_table_exact.csv" results/table.csv
}
if [ -d "$data" ]; then
    check "the penguins give the published table" penguins_are_right
else
    skip "the penguins give the published table" "their data is not beside this checkout"
fi
done_testing
