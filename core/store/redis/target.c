/* Where the server is: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], or unix:///PATH. User and password stand
 * for themselves (no %-escapes); an IPv6 address stands in brackets. */
#include <stdio.h>
#include <string.h>

#include "core/store/redis/redis_internal.h"

static bool copy(char *out, size_t size, struct str s) {
    if (s.len >= size || (s.len && memchr(s.ptr, '\0', s.len))) return false;
    if (s.len) memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

/* "USER:PASSWORD@" in front of *rest, if any; the last '@' ends it. */
static bool take_credentials(struct redis_target *t, struct str *rest) {
    const char *at = rest->len ? memrchr(rest->ptr, '@', rest->len) : NULL;
    if (!at) return true;
    struct str password = {rest->ptr, (size_t)(at - rest->ptr)};
    rest->len -= password.len + 1;
    rest->ptr = at + 1;
    struct str user = str_cut(&password, ':');
    return password.len > 0 && copy(t->user, sizeof t->user, user) &&
           copy(t->password, sizeof t->password, password);
}

static bool take_number(struct str s, int64_t min, int64_t max, int64_t *out) {
    return str_to_i64(s, out) && *out >= min && *out <= max;
}

/* HOST[:PORT], [V6][:PORT] */
static bool take_address(struct redis_target *t, struct str address) {
    int64_t port;
    struct str host;
    if (str_starts_with(address, STR("["))) {
        address = (struct str){address.ptr + 1, address.len - 1};
        if (!memchr(address.ptr, ']', address.len)) return false;
        host = str_cut(&address, ']');
        if (address.len > 0 && address.ptr[0] != ':') return false;
        if (address.len > 0) address = (struct str){address.ptr + 1, address.len - 1};
    } else {
        host = str_cut(&address, ':');
    }
    if (address.len == 0) address = STR("6379");
    return host.len > 0 && take_number(address, 1, 65535, &port) && copy(t->host, sizeof t->host, host) &&
           copy(t->port, sizeof t->port, address);
}

bool redis_target_parse(struct redis_target *t, const char *url) {
    struct str rest = str_from(url), tcp = STR("redis://"), local = STR("unix://");
    int64_t db = 0;
    *t = (struct redis_target){.db = 0};
    if (str_starts_with(rest, local)) {
        rest = (struct str){rest.ptr + local.len, rest.len - local.len};
        return str_starts_with(rest, STR("/")) && rest.len > 1 && copy(t->path, sizeof t->path, rest) &&
               copy(t->address, sizeof t->address, rest);
    }
    if (!str_starts_with(rest, tcp)) return false;
    rest = (struct str){rest.ptr + tcp.len, rest.len - tcp.len};
    if (!take_credentials(t, &rest)) return false;
    struct str address = str_cut(&rest, '/');
    if (rest.len > 0 && !take_number(rest, 0, 65535, &db)) return false;
    t->db = (int)db;
    if (!take_address(t, address)) return false;
    bool bare = !strchr(t->host, ':');
    snprintf(t->address, sizeof t->address, "%s%s%s:%s", bare ? "" : "[", t->host, bare ? "" : "]", t->port);
    return true;
}
