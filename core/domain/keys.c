/* The names of Redis keys. */
#include "core/domain/keys.h"

#include <inttypes.h>
#include <stdio.h>

static struct str key(char out[static KEY_MAX], int written) {
    return (struct str){out, (size_t)written};
}

struct str key_timeline(char out[static KEY_MAX], int64_t epoch, int64_t account_id) {
    return key(out, snprintf(out, KEY_MAX, "tl:%" PRId64 ":{%" PRId64 "}", epoch, account_id));
}

struct str key_relations_token(char out[static KEY_MAX], int64_t account_id) {
    return key(out, snprintf(out, KEY_MAX, "rv:{%" PRId64 "}", account_id));
}

struct str key_likes_token(char out[static KEY_MAX], int64_t account_id) {
    return key(out, snprintf(out, KEY_MAX, "lv:{%" PRId64 "}", account_id));
}

struct str key_events(char out[static KEY_MAX], int partition) {
    return key(out, snprintf(out, KEY_MAX, "events:{%d}", partition));
}

struct str key_chunks(char out[static KEY_MAX], int partition) {
    return key(out, snprintf(out, KEY_MAX, "chunks:{%d}", partition));
}

struct str key_jobs(char out[static KEY_MAX], int partition) {
    return key(out, snprintf(out, KEY_MAX, "jobs:{%d}", partition));
}

struct str key_dead(char out[static KEY_MAX], int partition) {
    return key(out, snprintf(out, KEY_MAX, "dead:{%d}", partition));
}
