#!/usr/bin/env bash
# make install and make dist: what a packager gets, from the daemons that are built. Nothing is compiled here.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${ROOKERY_BUILD:-$root/build}
[[ $build == /* ]] || build=$root/$build
work=$(mktemp -d)
unset MAKEFLAGS MAKELEVEL # of a make check
trap 'rm -rf "$work"' EXIT
cd "$root" || exit
doc=$work/usr/local/share/doc/rookery
version=$(cat VERSION)

# Also when sources are newer than the daemons: they are what is tested.
makes() { # TARGET...
    make -o "$build/rookery-gateway" -o "$build/rookery-worker" -o "$build/statements.def" BUILD="$build" DESTDIR="$work" "$@"
}
expected() {
    printf 'bin/%s\n' rookery-gateway rookery-worker
    printf 'share/man/man1/%s.1\n' rookery-gateway rookery-worker
    printf 'share/doc/rookery/%s\n' README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE docs/*.md
}
has_the_files() {
    diff <(expected | sort) <(cd "$work/usr/local" && find . -type f -printf '%P\n' | sort)
}
has_no_other_place() { [ "$(ls "$work")" = usr ]; }
# README's links to documents lead somewhere.
links_lead_somewhere() {
    local link missing=0
    for link in $(grep -oE '\]\([^):#]*\.md[#)]' "$doc/README.md" | tr -d '](#)'); do
        [ -e "$doc/$link" ] || { echo "$link" && missing=1; }
    done
    return $missing
}
is_version() { # PROGRAM
    [ "$("$work/usr/local/bin/$1" --version)" = "$1 $version" ]
}
render() { # PAGE
    if man -l "$1" >"$work/page" 2>/dev/null && [ -s "$work/page" ]; then cat "$work/page"
    elif command -v mandoc >/dev/null; then mandoc "$1"
    elif command -v groff >/dev/null; then groff -man -Tutf8 "$1"
    else sed 's/\\-/-/g' "$1"; fi
}
# Rendered, it has its name, and a setting with what it is.
is_a_page() { # PROGRAM
    local text
    text=$(render "$work/usr/local/share/man/man1/$1.1" | sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g') || return
    echo "$text"
    grep -q "$1" <<<"$text" && grep -q DATABASE_URL <<<"$text" && grep -q "Rookery $version" <<<"$text"
}
is_of_the_sources() {
    make -s BUILD="$work/dist" dist || return
    local list
    list=$(tar -tzf "$work/dist/rookery-$version.tar.gz") || return
    ! grep -v "^rookery-$version/" <<<"$list" &&
        diff <(git ls-tree -r --name-only HEAD | sort) <(grep -v '/$' <<<"$list" | sed "s,^rookery-$version/,," | sort)
}

check "make install works without a compiler's work" makes install
check "it installs the daemons, their man pages and the documents" has_the_files
check "below DESTDIR, into PREFIX" has_no_other_place
check "README's links to documents are right where it is installed" links_lead_somewhere
for program in rookery-gateway rookery-worker; do
    check "the installed $program says its version" is_version $program
    check "$program's man page can be read" is_a_page $program
done
if git rev-parse -q --verify HEAD >/dev/null 2>&1; then
    check "make dist packs what the last commit has" is_of_the_sources
else
    skip "make dist packs what the last commit has" "this is not a git checkout"
fi
done_testing
