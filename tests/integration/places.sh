#!/usr/bin/env bash
# What adding something touches does not grow: docs/adding.md says how many places, and scripts/places counts them. Prints TAP.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# places_are N NAME...: no more than N, and some.
places_are() {
    local most=$1 found
    shift
    found=$("$root/scripts/places" "$@") || return
    echo "$found"
    [[ $found =~ ([0-9]+)\ places$ ]] && [ "${BASH_REMATCH[1]}" -ge 2 ] && [ "${BASH_REMATCH[1]}" -le "$most" ]
}

product=(--in proto --in core --in gateway --in workers)
check "a method costs six places, and its test" places_are 6 "${product[@]}" UnbookmarkPost post_unbookmark
check "one with pages two more" places_are 8 "${product[@]}" ListBookmarks read_bookmarks post_bookmarks
check "a worker role costs three" places_are 3 --in workers counts_role
check "an event kind costs three" places_are 3 --in proto --in core/event PostEdited
check "what is nowhere has no place" [ "$("$root/scripts/places" --in core NoSuchFeature | tail -n 1)" = "0 places" ]
check_not "it needs a name" "$root/scripts/places"
done_testing
