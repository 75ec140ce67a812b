/* The names of Redis keys. */
#include "core/event/keys.h"

#include <assert.h>
#include <string.h>

/* Formatted by hand: a call makes several, the fan-out millions a second. "NAME{ID}", or "NAMEEPOCH:{ID}". */
static struct str key(char *out, struct str name, const int64_t *epoch, int64_t id) {
    char *p = out;
    memcpy(p, name.ptr, name.len);
    p += name.len;
    if (epoch) {
        p += format_i64(p, *epoch);
        *p++ = ':';
    }
    *p++ = '{';
    p += format_i64(p, id);
    *p++ = '}';
    assert(p - out < KEY_MAX);
    *p = '\0';
    return (struct str){out, (size_t)(p - out)};
}

struct str key_timeline(char out[static KEY_MAX], int64_t epoch, int64_t account_id) {
    assert(epoch != 0); /* 0: not known */
    return key(out, STR("tl:"), &epoch, account_id);
}

struct str key_relations_token(char out[static KEY_MAX], int64_t account_id) {
    return key(out, STR("rv:"), NULL, account_id);
}

struct str key_likes_token(char out[static KEY_MAX], int64_t account_id) {
    return key(out, STR("lv:"), NULL, account_id);
}

int64_t key_account(struct str key) {
    int64_t id;
    str_cut(&key, '{');
    return str_to_i64(str_cut(&key, '}'), &id) ? id : 0;
}

struct str key_of_partition(char out[static KEY_MAX], const char *name, int partition) {
    size_t n = strlen(name);
    assert(n < KEY_MAX / 2 && partition >= 0);
    memcpy(out, name, n);
    return (struct str){out, n + key(out + n, STR(":"), NULL, partition).len};
}

struct str key_dead(char out[static KEY_MAX], int partition) {
    return key_of_partition(out, "dead", partition);
}
