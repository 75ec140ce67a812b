#!/usr/bin/env bash
# The models in tests/models: spin finds no error in any of them, reaches all of each, and finds the error of each mutant. Each
# file that a model stands for says so.
#
# Two checks run at a time; each compiles a verifier of its own in a temporary folder. How long they take is not checked, only
# that each ends within its bounds of memory and of time, of which it needs a small part.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

# The models have nothing to do with how the daemons are built: once is enough.
if [[ ${ROOKERY_BUILD:-} == *asan* ]]; then
    echo '1..0 # SKIP checked without sanitizers'
    exit 0
fi

models=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/tests/models
AT_A_TIME=2
MEMORY_MB=1000 LIMIT_S=900 DEPTH=1000000

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The mutants of a model, with what spin must find: "NAME ASSERTION" lines, from its opening comment.
mutants() { # MODEL
    sed -n 's/^ \* *\(MUTANT_[A-Z_]*\)  *finds \([a-z_]*\).*/\1 \2/p' "$models/$1.pml"
}

# Verifies MODEL, or a mutant of it; what the verifier prints goes to work/MODEL[.MUTANT].
verify() { # MODEL [MUTANT]
    local name=$1${2:+.$2}
    mkdir "$work/$name.d" && cd "$work/$name.d" || return
    {
        spin -a ${2:+"-D$2"} "$models/$1.pml" &&
            gcc -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=$MEMORY_MB -o pan pan.c &&
            timeout $LIMIT_S ./pan -m$DEPTH -w22
    } >"$work/$name" 2>&1
    rm -rf "$work/$name.d"
}

verify_all() {
    local model mutant _
    for model in $1; do
        verify "$model" &
        while read -r mutant _; do
            while [ "$(jobs -pr | wc -l)" -ge $AT_A_TIME ]; do wait -n; done
            verify "$model" "$mutant" &
        done < <(mutants "$model")
        while [ "$(jobs -pr | wc -l)" -ge $AT_A_TIME ]; do wait -n; done
    done
    wait
}

# ---- what the verifier said ----

shows() { # NAME: for failures
    grep -vE '^(Depth=|$)' "$work/$1" | head -n 60
    return 1
}
is_clean() { # MODEL
    if grep -q 'errors: 0$' "$work/$1" && ! grep -qE 'Search not completed|max search depth too small' "$work/$1"; then return; fi
    shows "$1"
}
# But for the ends of endless loops. Lines look like: <tab>model.pml:12, state 3, "x = 1"
is_reached() { # MODEL
    grep -q '^unreached in' "$work/$1" || shows "$1" || return
    ! grep -E '^	.*:[0-9]+, state [0-9]+, ' "$work/$1" | grep -v '"-end-"$'
}
is_found() { # MODEL MUTANT ASSERTION
    grep -q "assertion violated *!($3)" "$work/$1.$2" || shows "$1.$2"
}
# Is every mutant that the code speaks of in the opening comment?
is_listed() { # MODEL
    local name
    while read -r name; do
        mutants "$1" | grep -q "^$name " || { echo "$name is not listed" && return 1; }
    done < <(grep -E '^#' "$models/$1.pml" | grep -oE 'MUTANT_[A-Z_]+' | sort -u)
}

if [ "${SANITIZE:-0}" = 1 ]; then
    skip "the models" "they are the same without sanitizers"
    done_testing
    exit
fi
# The files that README.md says the model stands for.
stands_for() { # MODEL
    sed -n "s/^| \`$1\.pml\` | \([^|]*\) |.*/\1/p" "$models/README.md" | grep -oE '[a-z_/]+\.[ch]'
}
# Does the opening comment of each of them name it?
is_named() { # MODEL
    local file files
    files=$(stands_for "$1") || { echo "README.md does not say what it stands for" && return 1; }
    for file in $files; do
        sed '/\*\/$/q' "$models/../../$file" | grep -qF "$1.pml" || { echo "$file does not name it" && return 1; }
    done
}

names=$(cd "$models" && for file in *.pml; do echo "${file%.pml}"; done)
verify_all "$names"
for model in $names; do
    check "$model: no error" is_clean "$model"
    check "$model: every statement is reached" is_reached "$model"
    check "$model: its mutants are listed" is_listed "$model"
    check "$model: what it stands for names it" is_named "$model"
    while read -r mutant assertion; do
        check "$model: $mutant is found by !($assertion)" is_found "$model" "$mutant" "$assertion"
    done < <(mutants "$model")
done
done_testing
