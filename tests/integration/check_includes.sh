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
    write core/base/str.h '<string.h>'
    write core/async/loop.h '<uv.h>' '"core/base/str.h"'
    write core/store/pg/pg.c '<libpq-fe.h>' '"core/store/pg/pg.h"' '"core/async/loop.h"'
    write core/store/redis/redis.c '<hiredis/hiredis.h>' '"redis.h"'
    write core/store/redis/redis.h
    write core/http/http.c '<nghttp2/nghttp2.h>' '"core/async/loop.h"' '"rookery/v1/post.pb-c.h"'
    write core/domain/post/post.c '"core/store/pg/pg.h"' '"rookery/events/v1/event.pb-c.h"'
    write gateway/post.c '"core/domain/post/post.h"' '"core/rpc/rpc.h"' '"gateway/service.h"'
    write workers/timeline/fanout.c '"core/domain/post/post.h"' '"workers/runtime/runtime.h"' '"workers/jobs/model/model.h"'
    write workers/jobs/model/model.c '<math.h>' '"workers/jobs/model/model.h"' '"core/base/str.h"'
    write workers/jobs/role/role.c '"core/store/redis/redis.h"' '"workers/jobs/model/model.h"' '"workers/runtime/runtime.h"'
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

breaks "core may not use the gateway" core/domain/a.c '"gateway/service.h"' 'core/domain may not use gateway'
breaks "core may not use the workers" core/base/a.c '"workers/runtime/runtime.h"' 'core/base may not use workers'
breaks "the gateway may not use the workers" gateway/a.c '"workers/runtime/runtime.h"' 'gateway may not use workers'
breaks "the workers may not use the gateway" workers/a.c '"gateway/service.h"' 'workers may not use gateway'
breaks "base is the lowest layer" core/base/a.c '"core/async/loop.h"' 'core/base may not use core/async'
breaks "async does not know the store" core/async/a.h '"core/store/pg/pg.h"' 'core/async may not use core/store'
breaks "the store does not know the net" core/store/a.c '"core/rpc/rpc.h"' 'core/store may not use core/net'
breaks "the net does not know the store" core/net/a.c '"core/store/pg/pg.h"' 'core/net may not use core/store'
breaks "the net does not know the domain" core/net/a.c '"core/domain/post/post.h"' 'core/net may not use core/domain'
breaks "the way around by .. is seen" workers/a.c '"../gateway/service.h"' 'workers may not use gateway'
breaks "angle brackets hide nothing" gateway/a.c '<workers/runtime/runtime.h>' 'gateway may not use workers'
breaks "spaces hide nothing" gateway/a.c '  "workers/runtime/runtime.h"' 'gateway may not use workers'
breaks "libpq stays in the store" core/domain/a.c '<libpq-fe.h>' 'wrap it'
breaks "hiredis stays in the store" workers/a.c '<hiredis/hiredis.h>' 'wrap it'
breaks "nghttp2 stays in the net" gateway/a.c '<nghttp2/nghttp2.h>' 'wrap it'
breaks "the numeric core has no event loop" workers/jobs/a.c '<uv.h>' 'wrap it'
breaks "the numeric core has no Redis" workers/jobs/a.h '<hiredis/hiredis.h>' 'wrap it'
breaks "the numeric core has no store" workers/jobs/a.c '"core/store/pg/pg.h"' 'jobs-numeric may not use core/store'
breaks "the numeric core knows no worker" workers/jobs/a.c '"workers/runtime/runtime.h"' 'jobs-numeric may not use workers'
breaks "the program does not use its tests" core/base/a.c '"tests/lib/fake.h"' 'its tests'
lawful_tree
write core/extra/a.c '<stdio.h>'
check "a folder without a rule is noticed" refuses core/extra/a.c:1 'no rule names'
done_testing
