# shellcheck shell=bash
# B7: a regression per slice, from a CSV file to a table. Sourced by scripts/bench.
#
# The yardsticks are what an analyst would write: a loop over the slices in R (read.csv, split, lm) and in Python
# (pandas.read_csv, groupby, scikit-learn's LinearRegression), on the same kind of file. They give coefficients and R
# squared; ours adds errors, tests and intervals. Beside each stands what remains when its author has taken out all but
# the least squares: the bare .lm.fit, and arrays instead of data frames. Everything runs on one core, and what counts
# is its processor time, which other programs on the machine disturb least. The yardsticks get fewer slices of the same
# size, since their time per slice is the same for any number of them; all figures are rows per second.

# jobs_cpu COMMAND...: prints the seconds of processor time that it took.
jobs_cpu() {
    local TIMEFORMAT='%U %S'
    { time "$@" >/dev/null; } 2>&1 | awk 'NF == 2 && $1 + 0 == $1 { s = $1 + $2 } END { printf "%.4f", s }'
}

# jobs_rate ROWS SECONDS...: rows per second by the median of the seconds.
jobs_rate() {
    local rows=$1
    shift
    printf '%s\n' "$@" | sort -g | awk -v rows="$rows" '{ s[NR] = $1 } END { printf "%.0f", rows / s[int((NR + 1) / 2)] }'
}

jobs_fit() { # FILE
    "$BUILD/rookery-worker" jobs fit "$1" --slice-by slice --y y --x x1,x2,x3,x4,x5 --threads 1 --quiet
}

jobs_sklearn() { # loop|arrays|check FILE
    env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 /usr/bin/python3 scripts/bench.d/jobs_sklearn.py "$@"
}

jobs_beside() { # RATE NAME TARGET ROWS SECONDS...: a row of the report
    local rate=$1 name=$2 target=$3
    shift 3
    bench_ratio 'rows fitted, CSV to table' rows/s "$rate" "$(jobs_rate "$@")" "$name" at-least "$target"
}

# The same coefficients, or the yardstick measures something else: 9 digits of the sum of all.
jobs_agree() { # NAME FILE COMMAND...
    local name=$1 file=$2 ours theirs
    shift 2
    ours=$(jobs_fit "$file" | awk -F, 'NR > 1 && $9 != "" { s += $10 } END { printf "%.9g", s }')
    theirs=$("$@" "$file")
    [ "$ours" = "$theirs" ] || warn "B7: $name finds other coefficients: $theirs, ours $ours"
}

bench_B7() {
    local rows slices share learn=1 round
    rows=$(bench_size 10000000 100000)
    slices=$((rows / 100))
    share=$((slices > 4000 ? slices / 5 : slices / 2)) # enough that the start of R or Python does not count
    command -v Rscript >/dev/null || bench_skip 'rows fitted' 'r-base-core is not installed'
    /usr/bin/python3 -c 'import pandas, sklearn' 2>/dev/null || learn=0
    "$BUILD/jobsrows" "$rows" "$slices" >"$WORK/all.csv"
    "$BUILD/jobsrows" $((share * 100)) "$share" >"$WORK/share.csv"
    bench_note "$rows rows of 5 predictors in $slices slices, $(du -m "$WORK/all.csv" | cut -f1) MB; the yardsticks get $share of such slices"

    local ours=() bare=() lm=() sklearn=() arrays=() script=scripts/bench.d
    jobs_agree R "$WORK/share.csv" Rscript $script/jobs.R check
    [ $learn = 0 ] || jobs_agree scikit-learn "$WORK/share.csv" jobs_sklearn check
    for round in 1 2 3; do
        ours+=("$(jobs_cpu jobs_fit "$WORK/all.csv")")
        lm+=("$(jobs_cpu Rscript $script/jobs.R lm "$WORK/share.csv")")
        bare+=("$(jobs_cpu Rscript $script/jobs.R bare "$WORK/share.csv")")
        bench_note "round $round: ours ${ours[-1]} s, R lm ${lm[-1]} s, R .lm.fit ${bare[-1]} s"
        [ $learn = 1 ] || continue
        sklearn+=("$(jobs_cpu jobs_sklearn loop "$WORK/share.csv")")
        arrays+=("$(jobs_cpu jobs_sklearn arrays "$WORK/share.csv")")
        bench_note "round $round: scikit-learn ${sklearn[-1]} s, on arrays ${arrays[-1]} s"
    done
    local rate
    rate=$(jobs_rate "$rows" "${ours[@]}")
    jobs_beside "$rate" 'R lm' 20 $((share * 100)) "${lm[@]}"
    jobs_beside "$rate" 'R .lm.fit' 2 $((share * 100)) "${bare[@]}"
    if [ $learn = 1 ]; then
        jobs_beside "$rate" scikit-learn 20 $((share * 100)) "${sklearn[@]}"
        jobs_beside "$rate" 'scikit-learn on arrays' 5 $((share * 100)) "${arrays[@]}"
    fi
    bench_limit 'CSV to table, 10 M rows' s "$(awk -v r="$rate" 'BEGIN { printf "%.3g", 1e7 / r }')" at-most 5
    jobs_service
}
