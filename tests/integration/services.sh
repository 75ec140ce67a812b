#!/usr/bin/env bash
# The tables of methods and of texts: a line for each method and each text of a request; what a proto leaves out is an error that
# names it, and so is a method whose handler is missing.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${ROOKERY_BUILD:-build}
[[ $build == /* ]] || build=$root/$build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/rookery/v1"
cp "$root/proto/rookery/v1/options.proto" "$work/rookery/v1/"

# table RPC-OPTIONS TEXT-OPTIONS: what is made of a service with one method, whose request holds a message with a text.
table() {
    cat >"$work/rookery/v1/nest.proto" <<TEXT
syntax = "proto3";
package rookery.v1;
import "rookery/v1/options.proto";
service NestService {
  rpc LayEgg(LayEggRequest) returns (stream LayEggResponse) {
    $1
  }
}
message Egg { repeated string spots = 7$2; }
message LayEggRequest { Egg egg = 1; }
message LayEggResponse { string sound = 1; }
TEXT
    (cd "$work" && protoc -I. -I/usr/include --include_imports --descriptor_set_out=set rookery/v1/nest.proto) &&
        "$build/generate/services" ${option:+"$option"} "$work/set"
}
# The #includes: of the file with messages, and not of that with the options.
headers_are() { # LINE
    local option=--headers
    [ "$(table "$both" "$bound")" = "$1" ]
}

prints() { # WORD TABLE-ARGUMENTS...
    local output word=$1
    shift
    output=$(table "$@" 2>&1) || return 1
    echo "$output"
    grep -qFx -- "$word" <<<"$output"
}
refuses() { # WORD TABLE-ARGUMENTS...
    local output word=$1
    shift
    output=$(table "$@" 2>&1) && return 1
    echo "$output"
    grep -qF -- "$word" <<<"$output"
}

# The linker's complaints about handlers, when this gateway has one less.
handlers_missed_without() { # HANDLER
    local objects
    mapfile -t objects < <(find "$build/gateway" -name '*.o' ! -path "$build/gateway/service/post.o")
    objcopy --redefine-sym "$1=taken_away" "$build/gateway/service/post.o" "$work/post.o" || return
    # Without libraries, whose functions are then missing too.
    LC_ALL=C "${CC:-gcc}" -o "$work/gateway" "${objects[@]}" "$work/post.o" "$build/libcore.a" 2>&1 |
        grep -oE "undefined reference to .[a-z]+_service_[a-z_]+." | sort -u
}
is_named_by_the_linker() { # HANDLER
    local complaints
    complaints=$(handlers_missed_without "$1")
    echo "$complaints"
    [ "$complaints" = "undefined reference to \`$1'" ]
}

both='option (permission) = PERMISSION_ANALYST; option (cost) = COST_WORK;'
bound=' [(normal_form) = NORMAL_FORM_AS_IS, (max_bytes) = 9]'
line=' [(normal_form) = NORMAL_FORM_LINE, (min_characters) = 1, (max_characters) = 5, (may_be_empty) = true]'
check "a method is a line" prints 'METHOD("/rookery.v1.NestService/LayEgg", nest_service_lay_egg, lay_egg_request, lay_egg_response, SERVER_STREAM, false, ANALYST, WORK)' "$both" "$bound"
check "also one without side effects" prints 'METHOD("/rookery.v1.NestService/LayEgg", nest_service_lay_egg, lay_egg_request, lay_egg_response, SERVER_STREAM, true, ANALYST, WORK)' "option idempotency_level = NO_SIDE_EFFECTS; $both" "$bound"
check "a text that a request may hold is a line" prints 'TEXT(egg, 7, AS_IS, 0, 0, 0, 9, false)' "$both" "$bound"
check "with all that is said of it" prints 'TEXT(egg, 7, LINE, 1, 5, 0, 0, true)' "$both" "$line"
check "the header of its file is included" headers_are '#include "rookery/v1/nest.pb-c.h"'
check "a method must say who may call it" refuses 'NestService.LayEgg says nothing of its permission' 'option (cost) = COST_WORK;' "$bound"
check "and what it costs" refuses 'NestService.LayEgg says nothing of its cost' 'option (permission) = PERMISSION_ANALYST;' "$bound"
check "a text must say what it is" refuses 'Egg.spots may come from anybody, and says nothing of its normal_form' "$both" ' [(max_bytes) = 9]'
check "and how long it may be" refuses 'Egg.spots may come from anybody, and must have max_bytes' "$both" ' [(normal_form) = NORMAL_FORM_AS_IS]'
check "in characters when it has a form" refuses 'Egg.spots may come from anybody, and must have max_characters' "$both" ' [(normal_form) = NORMAL_FORM_FREE, (max_bytes) = 9]'
check "and not with a least in bytes" refuses 'Egg.spots may come from anybody, and must have max_characters and no min_bytes' "$both" ' [(normal_form) = NORMAL_FORM_FREE, (max_characters) = 9, (min_bytes) = 9]'
check "a handler that is missing is an error of the link" is_named_by_the_linker post_service_bookmark_post
done_testing
