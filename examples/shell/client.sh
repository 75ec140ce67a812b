#!/usr/bin/env bash
# A client of Rookery with nothing but bash and curl.
#
#   examples/shell/client.sh [http://ADDR:PORT]     (default http://127.0.0.1:8080)
#
# Registers two people; one follows the other, listens to their home timeline, and goes on where the stream ended after a
# cut; then reads the timeline page by page, and has a job fit a model to each species of examples/penguins.csv.
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

# live TOKEN FILE: appends what is new on the home timeline, a line a message, through as many streams as it takes. Each goes
# on where the one before ended, by the last message's resumeToken. After {"reset": {}} the timeline must be read again.
live() {
    local token=$1 file=$2 pause=0.1 last STREAM_NAME=live
    while :; do
        last=$(tail -n 1 "$file" | field resumeToken)
        envelope "{\"resumeToken\": \"$last\"}" |
            stream TimelineService/StreamHomeTimeline "$token" >>"$file" 2>/dev/null || true
        # The server may be restarting.
        sleep $pause
        pause=1
    done
}
# await FILE TEXT: waits until a line has it.
await() {
    local i
    for ((i = 0; i < 600; i++)); do
        if grep -qs -- "$2" "$1"; then return; fi
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
    local account ada ada_id grace page token=''
    account=$(call AccountService/Register "{\"handle\": \"ada_$(random)\", \"password\": \"$(random)$(random)\"}")
    ada=$(field token <<<"$account")
    ada_id=$(field id <<<"$account")
    grace=$(call AccountService/Register "{\"handle\": \"grace_$(random)\", \"password\": \"$(random)$(random)\"}" | field token)
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

    while :; do
        page=$(call TimelineService/GetHomeTimeline "{\"pageSize\": 2, \"pageToken\": \"$token\"}" "$grace")
        grep -o '"text": *"[^"]*"' <<<"$page" | field text | sed 's/^/home: /'
        token=$(field nextPageToken <<<"$page")
        [ -n "$token" ] || break
    done
    fit_penguins "$grace"
}
main
