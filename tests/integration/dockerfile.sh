#!/usr/bin/env bash
# The Dockerfile against the tree and the built daemons, where there is no container engine: what it copies is all
# that the build reads, and the packages of its last stage are those of the libraries that the daemons load.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

cd "$ROOT" || exit 1
build=${ROOKERY_BUILD:-$ROOT/build}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

# Instructions with their continuation lines joined and comments left out.
instructions() { sed '/^#/d' Dockerfile | sed -e ':a' -e '/\\$/{N; s/\\\n//; ba' -e '}'; }
instruction() { instructions | sed -n "s/^$1 //p"; }
# What is copied from the checkout, a path a line.
copied() { instruction COPY | grep -v '^--from' | awk '{ for (i = 1; i < NF; i++) print $i }'; }
let_through() { sed -n 's/^!//p' .dockerignore; }
same_lines() { diff <(sort "$1") <(sort "$2"); }

check "every stage is Debian 12" [ "$(instruction FROM | sed 's/ AS .*//' | sort -u)" = debian:bookworm-slim ]
check ".dockerignore begins by leaving out everything" grep -qx '\*' .dockerignore
check "it lets through what is copied, and nothing else" same_lines <(copied) <(let_through)
check "it runs as a user by number, not as root" grep -qE '^[1-9][0-9]*:[1-9][0-9]*$' <(instruction USER)

# The build stage, without the compiling: make would do the same as here. (The tests' own messages aside.)
while IFS= read -r path; do
    mkdir -p "$context/$(dirname "$path")"
    cp -R "$path" "$context/$path"
done < <(copied)
words_of_build() { make -s -n -C "$1" BUILD=build-none daemons | tr -s '[:space:]' '\n' | grep -v 'rookery/test/' | sort -u; }
check "what is copied can be built" make -s -n -C "$context" BUILD=build-none daemons
check "and the build is the same as here" same_lines <(words_of_build "$ROOT") <(words_of_build "$context")
# And compiling: the files that the compiler read here are there too. (The .d files name them.)
read_by_the_build() {
    find "$build/core" "$build/gateway" "$build/workers" -name '*.d' -exec cat {} + |
        tr -s ' ' '\n' | sed -n 's/:$//; /^\(core\|gateway\|workers\|proto\)\/.*[^:]$/p' | sort -u
}
all_are_copied() {
    local file missing=0 count=0
    while IFS= read -r file; do
        count=$((count + 1))
        # A header that has gone since is no longer read.
        [ ! -e "$file" ] || [ -e "$context/$file" ] || { echo "not copied: $file" && missing=1; }
    done < <(read_by_the_build)
    echo "$count files"
    [ $missing = 0 ] && [ $count -gt 100 ]
}
check "what the compiler reads is copied" all_are_copied
copied_setup() { (cd "$context" && unset DATABASE_URL REDIS_URL && scripts/setup --build --list); }
check "the packages for building are known, and no server is among them" copied_setup

# The last stage's packages: the words after "install" that are no options. Of procps only the command is of use.
installed() {
    instruction RUN | grep -- '--no-install-recommends' | sed 's/.*apt-get install//; s/&&.*//' |
        tr -s ' ' '\n' | grep -vx -e '-.*' -e procps | grep .
}
# The packages of the libraries that the daemons name themselves; those that these need are apt's affair. The C
# library is in every Debian, and a sanitizer's is only in this build.
linked() {
    local daemon library path
    for daemon in rookery-gateway rookery-worker; do
        readelf -d "$build/$daemon" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while IFS= read -r library; do
            path=$(readlink -f "$(ldd "$build/$daemon" | awk -v name="$library" '$1 == name { print $3 }')")
            # Some packages still name /lib, which is a link to /usr/lib.
            dpkg-query -S "$path" "${path#/usr}" 2>/dev/null | sed 's/[:,].*//'
        done
    done | grep -vxE 'libc6|libgcc-s1|libasan[0-9]*|libubsan[0-9]*' | sort -u
}
check "its last stage installs the libraries that the daemons load, and no others" \
    same_lines <(installed) <(linked)
done_testing
