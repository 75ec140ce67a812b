#!/usr/bin/env bash
# README's commands for a backup and its restore, word by word: the dump of the running stack becomes a Rookery of its own, in
# which an audit finds nothing amiss. Only folders, the port and --detach are others here.

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
set +e

stack=$ROOKERY_TEST_STACK gateway=$ROOKERY_GATEWAY
export BUILD=$ROOKERY_BUILD POSTGRES_SHARED_BUFFERS=32MB
unset ROOKERY_BUILD ROOKERY_GATEWAY ROOKERY_TEST_DATABASE_URL ROOKERY_TEST_REDIS_URL ROOKERY_TEST_STACK DATABASE_URL REDIS_URL
work=$(mktemp -d /tmp/rookery-backup.XXXXXX)
chmod 755 "$work"
end() {
    [ ! -d "$work/restored/run" ] || "$ROOT/scripts/stop" --data "$work/restored" >/dev/null
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

api() { # METHOD JSON [TOKEN]
    curl -sS "http://$gateway/rookery.v1.$1" -H 'content-type: application/json' ${3:+-H "authorization: Bearer $3"} -d "$2"
}
handle=saved_$$_$RANDOM
token=$(api AccountService/Register "{\"handle\": \"$handle\", \"password\": \"correct horse\"}" |
    sed 's/.*"token": *"\([^"]*\)".*/\1/')
check "a post is written" grep -q '"id"' <(api PostService/CreatePost '{"text": "to be restored"}' "$token")

port=$(free_port)
block() {
    awk '/^##/{ inside = /^### Backup/ } /^```/{ shell = inside && $0 == "```sh"; next } shell' "$ROOT/README.md"
}
block | sed -e "s,\. data/run/env,. $stack/run/env,; s,scripts/,$ROOT/scripts/,; s,--data restored,--data $work/restored," \
    -e "s,\. restored/,. $work/restored/,; s,rookery\.dump,$work/rookery.dump," \
    -e "s,^\($ROOT/scripts/run --data $work/restored\)$,\1 --listen 127.0.0.1:$port --workers 1 --detach," >"$work/block.sh"
check "README has the commands" [ "$(wc -l <"$work/block.sh")" -ge 6 ]
check "they run without an error" bash -eu "$work/block.sh"
gateway=127.0.0.1:$port
check "what was written is there, and the session is valid" \
    grep -q 'to be restored' <(api TimelineService/GetHomeTimeline '{}' "$token")
audit() {
    # shellcheck disable=SC1091
    . "$work/restored/run/env" && "$BUILD/rookery-worker" audit --sample 20
}
check "an audit finds nothing amiss" audit
done_testing
