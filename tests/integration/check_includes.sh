#!/usr/bin/env bash
# scripts/check-includes: a tree that keeps the rules passes, and each way of breaking one is named.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"

checker=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/scripts/check-includes
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# write FILE INCLUDE...: a file of the tree with these includes, the first on line 1.
write() {
    local file=$tree/$1 include
    shift
    mkdir -p "$(dirname "$file")"
    for include in "$@"; do echo "#include $include"; done >"$file"
}

# A small tree in which the rooms include what they may.
lawful_tree() {
    rm -rf "${tree:?}"/*
    mkdir "$tree/scripts"
    cat >"$tree/scripts/rooms" <<'TEXT'
# A comment.
proto
core/base
core/async     < core/base    # and another
core/http      < core/async
core/rpc       < core/http proto
core/store/pg  < core/async
core/domain    < core/store/pg proto
gateway/shared.h < core/domain
gateway/cache  < gateway/shared.h
gateway        < gateway/cache core/rpc
workers/jobs/table < core/base
workers/jobs/decode < workers/jobs/table
workers/runtime < core/domain
workers        < workers/runtime workers/jobs/table
TEXT
    write core/base/base.h '<string.h>'
    write core/base/base_internal.h
    write core/base/a.c '"core/base/base_internal.h"' '"base_internal.h"'
    write core/async/async.h '<uv.h>' '"core/base/base.h"'
    write core/store/pg/pg.h
    write core/store/pg/pg.c '<libpq-fe.h>' '"core/store/pg/pg.h"' '"core/async/async.h"' '"core/base/base.h"'
    write core/http/http.h
    write core/http/http.c '<nghttp2/nghttp2.h>' '"http.h"' '"core/async/async.h"'
    write core/rpc/rpc.h '"rookery/v1/post.pb-c.h"'
    write core/domain/domain.h '"core/store/pg/pg.h"' '"rookery/events/v1/event.pb-c.h"'
    write gateway/shared.h '"core/domain/domain.h"'
    write gateway/cache/cache.h '"gateway/shared.h"'
    write gateway/main.c '"core/domain/domain.h"' '"core/rpc/rpc.h"' '"gateway/cache/cache.h"' '"gateway/shared.h"' '<uv.h>'
    write workers/runtime/runtime.h '"core/domain/domain.h"' '<uv.h>'
    write workers/jobs/table/table.h '<math.h>' '"core/base/base.h"'
    write workers/jobs/decode/decode.h '<zlib.h>' '"workers/jobs/table/table.h"'
    write workers/main.c '"workers/runtime/runtime.h"' '"workers/jobs/table/table.h"'
}

# refuses WHERE RULE-TEXT: the checker fails, and says where and why.
refuses() {
    local output
    if output=$("$checker" "$tree" 2>&1); then
        echo "accepted"
        return 1
    fi
    echo "$output"
    grep -q "^$1: .*$2" <<<"$output"
}

# breaks NAME FILE INCLUDE RULE-TEXT: the tree with one file that has one include too many.
breaks() {
    lawful_tree
    write "$2" '<stdint.h>' "$3"
    check "$1" refuses "$2:2" "$4"
}

lawful_tree
check "a tree that keeps the rules passes" "$checker" "$tree"
check "this checkout keeps them" "$checker"

breaks "core may not use the gateway" core/domain/a.c '"gateway/shared.h"' 'core/domain may not use gateway/shared.h'
breaks "core may not use the workers" core/base/a.c '"workers/runtime/runtime.h"' 'core/base may not use workers/runtime'
breaks "the gateway may not use the workers" gateway/a.c '"workers/runtime/runtime.h"' 'gateway may not use workers/runtime'
breaks "the workers may not use the gateway" workers/a.c '"gateway/shared.h"' 'workers may not use gateway'
breaks "base is the lowest room" core/base/a.c '"core/async/async.h"' 'core/base may not use core/async'
breaks "rooms that do not stand above one another do not meet" core/store/pg/a.c '"core/rpc/rpc.h"' 'core/store/pg may not use core/rpc'
breaks "what all of a gateway shares knows none of its parts" gateway/shared.h '"gateway/cache/cache.h"' 'gateway/shared.h may not use gateway/cache'
breaks "a room knows nothing of what is built on it" gateway/cache/a.c '"gateway/main.h"' 'gateway/cache may not use gateway'
breaks "only some rooms know the generated code" core/base/a.c '"rookery/v1/post.pb-c.h"' 'core/base may not use proto'
breaks "the way around by .. is seen" workers/a.c '"../gateway/shared.h"' 'workers may not use gateway'
breaks "angle brackets hide nothing" gateway/a.c '<workers/runtime/runtime.h>' 'gateway may not use workers'
breaks "spaces hide nothing" gateway/a.c '  "workers/runtime/runtime.h"' 'gateway may not use workers'
breaks "an inner header stays at home" core/async/a.c '"core/base/base_internal.h"' 'files beside it'
breaks "libpq stays in the store" core/domain/a.c '<libpq-fe.h>' 'wrap it'
breaks "hiredis stays in the store" workers/a.c '<hiredis/hiredis.h>' 'wrap it'
breaks "nghttp2 stays in the net" gateway/a.c '<nghttp2/nghttp2.h>' 'wrap it'
breaks "zlib stays where files are decoded" workers/jobs/table/a.c '<zlib.h>' 'wrap it'
breaks "what computes has no event loop" workers/jobs/table/a.c '<uv.h>' 'wrap it'
breaks "what computes knows no worker" workers/jobs/table/a.c '"workers/runtime/runtime.h"' 'workers/jobs/table may not use workers/runtime'
breaks "the program does not use its tests" core/base/a.c '"tests/lib/fake.h"' 'its tests'
lawful_tree
write core/extra/a.c '<stdio.h>'
check "a folder that is no room is noticed" refuses core/extra/a.c:1 'does not name the folder'
lawful_tree
rm "$tree/core/rpc/rpc.h"
write core/rpc/call.h
check "a room without a header of its name is noticed" refuses core/rpc/rpc.h 'no header of its own name'
lawful_tree
echo 'core/late < core/later' >>"$tree/scripts/rooms"
check "a room stands above what it is built on" refuses scripts/rooms 'core/later, which is not above it'
done_testing
