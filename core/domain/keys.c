/* The names of Redis keys. */
#include "core/domain/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct str key(char out[static KEY_MAX], int written) {
    return (struct str){out, (size_t)written};
}

/* By hand: the fan-out writes millions of these a second. */
struct str key_timeline(char out[static KEY_MAX], int64_t epoch, int64_t account_id) {
    char *p = out;
    memcpy(p, "tl:", 3);
    p += 3;
    p += format_i64(p, epoch);
    memcpy(p, ":{", 2);
    p += 2;
    p += format_i64(p, account_id);
    memcpy(p, "}", 2);
    return (struct str){out, (size_t)(p + 1 - out)};
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
