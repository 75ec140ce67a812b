#!/usr/bin/env bash
# A client of Rookery with nothing but bash and curl.
#
#   examples/shell/client.sh [http://ADDR:PORT]     (default http://127.0.0.1:8080)
#
# Registers three people; one follows the second, listens to their home timeline, and goes on where the stream ended after a
# cut; follows the third, whereupon the timeline is read again; then reads it page by page, and has a job fit a model to each
# species of examples/penguins.csv. Sourced, it only defines its functions.
#
# Answers are JSON objects; what is taken out of them here is numbers and words, for which sed is enough. (With jq:
# jq -r .token.) 64-bit numbers are strings in JSON.

set -euo pipefail
URL=${1:-http://127.0.0.1:8080}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=$(mktemp -d)
LIVE=''
end() {
    # The loop first, then the stream that it has.
    if [ -n "$LIVE" ]; then
        kill "$LIVE" 2>/dev/null || true
        cut_stream
    fi
    rm -rf "$WORK"
}
cut_stream() { kill "$(cat "$WORK/live.pid")" 2>/dev/null || true; }
trap end EXIT

# --- one call -------------------------------------------------------------------------------------------------------
# call METHOD JSON [TOKEN]: prints the answer, or fails with the server's sentence.
call() {
    local answer status
    answer=$(curl -sS -w '\n%{http_code}' "$URL/rookery.v1.$1" -H 'content-type: application/json' \
        ${3:+-H "authorization: Bearer $3"} -d "$2")
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    if [ "$status" != 200 ]; then
        echo "$1: $answer" >&2
        return 1
    fi
    printf '%s\n' "$answer"
}
# field NAME: the first value of that name in each line, without its quotes.
field() { sed -n 's/"'"$1"'": *"\{0,1\}\([^",}]*\)"\{0,1\}/\n\1\n/; s/^[^\n]*\n\([^\n]*\)\n.*/\1/p'; }
random() { od -An -N6 -tx1 /dev/urandom | tr -d ' \n'; }

# --- streams --------------------------------------------------------------------------------------------------------
# A message of a stream has five bytes in front: flags, which are 0, and its length.
envelope() { # JSON
    local LC_ALL=C n
    n=${#1}
    # shellcheck disable=SC2059 # the format is the four bytes
    printf "\\0$(printf '\\%03o\\%03o\\%03o\\%03o' $((n >> 24)) $((n >> 16 & 255)) $((n >> 8 & 255)) $((n & 255)))"
    printf '%s' "$1"
}
# messages: takes them apart again, a line each. The last one has the flag 2, and an error or nothing.
messages() {
    local flags a b c d text
    while read -r flags a b c d < <(head -c 5 | od -An -tu1) && [ -n "$d" ]; do
        text=$(head -c $((a << 24 | b << 16 | c << 8 | d)))
        if [ "$flags" = 2 ]; then
            [[ $text != *'"error"'* ]] || { echo "$text" >&2 && return 1; }
            return 0
        fi
        printf '%s\n' "$text"
    done
    echo "the stream ended in the middle" >&2
    return 1
}
# stream METHOD TOKEN: sends the messages that it reads, and prints those that come.
stream() {
    # exec, so that this process is curl, and can be ended.
    (
        echo "$BASHPID" >"$WORK/${STREAM_NAME:-other}.pid"
        exec curl -sSN "$URL/rookery.v1.$1" -H 'content-type: application/connect+json' -H "authorization: Bearer $2" \
            --data-binary @-
    ) | messages
}

# home TOKEN PAGE-SIZE: prints the texts of the home timeline, newest first, read page by page.
home() {
    local page next=''
    while :; do
        page=$(call TimelineService/GetHomeTimeline "{\"pageSize\": $2, \"pageToken\": \"$next\"}" "$1") || return 1
        grep -o '"text": *"[^"]*"' <<<"$page" | field text
        next=$(field nextPageToken <<<"$page")
        [ -n "$next" ] || return 0
    done
}

# take TOKEN FILE: appends the messages that it reads, but before a reset it reads the home timeline again, into FILE.home.
# When that cannot be done the reset is not taken, and the next stream sends it again.
take() {
    local message
    while IFS= read -r message; do
        if [[ $message == *'"reset":'* ]]; then
            home "$1" 100 >"$2.new" || { cut_stream && return 1; }
            mv "$2.new" "$2.home"
        fi
        printf '%s\n' "$message" >>"$2"
    done
}

# live TOKEN FILE: appends what is new on the home timeline, a line a message, through as many streams as it takes. Each goes
# on where the one before ended, by the last message's resumeToken, after a pause that grows: the server may be restarting.
# Returns 1 at an error that no pause helps with.
FINAL_CODES='"code": *"(unauthenticated|permission_denied|invalid_argument|unimplemented)"'
live() {
    local token=$1 file=$2 tenths=1 last='' now STREAM_NAME=live
    while :; do
        envelope "{\"resumeToken\": \"$last\"}" |
            stream TimelineService/StreamHomeTimeline "$token" 2>"$file.errors" | take "$token" "$file" 2>>"$file.errors" || true
        if grep -qE "$FINAL_CODES" "$file.errors"; then
            echo "the timeline's stream ended, and trying again does not help: $(paste -sd ';' "$file.errors")" >&2
            return 1
        fi
        now=$(tail -n 1 "$file" | field resumeToken)
        [ "$now" = "$last" ] || tenths=1
        last=$now
        echo "the timeline's stream ended ($(paste -sd ';' "$file.errors")): again in $((tenths / 10)).$((tenths % 10)) s" >&2
        sleep $((tenths / 10)).$((tenths % 10))
        tenths=$((2 * tenths < 100 ? 2 * tenths : 100))
    done
}
# await FILE TEXT: waits until a line has it, as long as there is somebody who writes it.
await() {
    local i
    for ((i = 0; i < 600; i++)); do
        if grep -qs -- "$2" "$1"; then return; fi
        kill -0 "$LIVE" 2>/dev/null || return 1
        sleep 0.1
    done
    echo "there is no $2 in: $(cat "$1")" >&2
    return 1
}

# --- a job ----------------------------------------------------------------------------------------------------------
# upload NAME FILE TOKEN: prints the dataset's id. Bytes are base64 in JSON, 30,000 of them in a message here.
upload() {
    local file=$2 size sha at
    size=$(stat -c %s "$file")
    sha=$(sha256sum "$file" | cut -c 1-64 | sed 's/../\\x&/g')
    # shellcheck disable=SC2059 # the format is the checksum's bytes
    sha=$(printf "$sha" | base64 -w 0)
    {
        envelope "{\"header\": {\"name\": \"$1\", \"sizeBytes\": \"$size\", \"sha256\": \"$sha\", \"idempotencyKey\": \"$(random)\"}}"
        for ((at = 0; at < size; at += 30000)); do
            envelope "{\"chunk\": {\"offset\": \"$at\", \"data\": \"$(tail -c +$((at + 1)) "$file" | head -c 30000 | base64 -w 0)\"}}"
        done
    } | stream JobService/UploadDataset "$3" | field id
}

fit_penguins() { # TOKEN
    local token=$1 dataset job state
    dataset=$(upload penguins "$HERE/../penguins.csv" "$token")
    until [ "$(call JobService/DescribeDataset "{\"datasetId\": \"$dataset\"}" "$token" | field state)" = DATASET_STATE_READY ]; do
        sleep 0.1
    done
    job=$(call JobService/CreateJob "{\"datasetId\": \"$dataset\", \"spec\": {\"linear\": {\"regression\": {
        \"sliceBy\": [\"species\"], \"y\": \"flipper_length_mm\", \"x\": [\"bill_length_mm\"]}}}}" "$token" |
        sed 's/.*"job": *{"id": *"\([0-9]*\)".*/\1/')
    state=$(envelope "{\"jobId\": \"$job\"}" | stream JobService/WatchJob "$token" | field state | tail -n 1)
    echo "job: $state"
    envelope "{\"jobId\": \"$job\"}" | stream JobService/GetResult "$token" | field data | base64 -d
}

# --- the story ------------------------------------------------------------------------------------------------------
main() {
    local account ada ada_id grace hedy hedy_id
    account=$(call AccountService/Register "{\"handle\": \"ada_$(random)\", \"password\": \"$(random)$(random)\"}")
    ada=$(field token <<<"$account")
    ada_id=$(field id <<<"$account")
    grace=$(call AccountService/Register "{\"handle\": \"grace_$(random)\", \"password\": \"$(random)$(random)\"}" | field token)
    account=$(call AccountService/Register "{\"handle\": \"hedy_$(random)\", \"password\": \"$(random)$(random)\"}")
    hedy=$(field token <<<"$account")
    hedy_id=$(field id <<<"$account")
    call PostService/CreatePost '{"text": "An older post"}' "$hedy" >/dev/null
    call GraphService/Follow "{\"accountId\": \"$ada_id\"}" "$grace" >/dev/null
    echo "grace follows ada"

    : >"$WORK/live"
    live "$grace" "$WORK/live" &
    LIVE=$!
    await "$WORK/live" heartbeat # from here on nothing is missed
    call PostService/CreatePost '{"text": "Hello from the shell"}' "$ada" >/dev/null
    await "$WORK/live" 'Hello from the shell'
    cut_stream # as a lost connection does
    for i in 1 2 3 4; do call PostService/CreatePost "{\"text\": \"while away $i\"}" "$ada" >/dev/null; done
    await "$WORK/live" 'while away 4'
    field text <"$WORK/live" | sed 's/^/live: /'
    call GraphService/Follow "{\"accountId\": \"$hedy_id\"}" "$grace" >/dev/null
    await "$WORK/live" '"reset":'
    sed 's/^/again: /' "$WORK/live.home"

    home "$grace" 2 | sed 's/^/home: /'
    fit_penguins "$grace"
}
[ "${BASH_SOURCE[0]}" != "$0" ] || main
