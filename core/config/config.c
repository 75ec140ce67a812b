/* Configuration: every variable is looked up in the environment, checked by its kind, then (some texts) by
 * its own check; then the environment is searched for names that are not in the table. */
#include "core/config/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/str.h"

/* --- checks of texts: true when valid; the sentence says what would be right -------------------------- */

static bool contains(struct str s, struct str what) {
    return s.len >= what.len && memmem(s.ptr, s.len, what.ptr, what.len) != NULL;
}

static bool ends_with(struct str s, struct str what) {
    return s.len >= what.len && str_eq((struct str){s.ptr + s.len - what.len, what.len}, what);
}

struct text_check {
    const char *variable;
    bool (*good)(struct str value);
    const char *what; /* completes "NAME must be ..." */
};

static bool good_database_url(struct str v) {
    return str_starts_with(v, STR("postgresql://")) || str_starts_with(v, STR("postgres://"));
}

static bool good_port(struct str v) {
    int64_t port;
    return v.len && v.ptr[0] != '-' && str_to_i64(v, &port) && port <= 65535;
}

/* ADDR:PORT, an IPv6 address in brackets. Whether the address exists shows when it is bound. */
static bool good_address(struct str v) {
    struct str host = v, port;
    if (v.len && v.ptr[0] == '[') {
        str_cut(&v, ']');
        host.len = (size_t)(v.ptr ? v.ptr - host.ptr : 0);
        if (host.len <= 2 || !v.len || v.ptr[0] != ':') return false;
        port = (struct str){v.ptr + 1, v.len - 1};
    } else {
        host = str_cut(&v, ':');
        port = v;
    }
    return host.len && good_port(port);
}

static bool good_optional_address(struct str v) {
    return v.len == 0 || good_address(v);
}

static bool good_redis_url(struct str v) {
    struct str tcp = STR("redis://"), local = STR("unix:///");
    if (str_starts_with(v, local)) return v.len > local.len;
    return str_starts_with(v, tcp) && v.len > tcp.len;
}

static bool good_log_level(struct str v) {
    enum log_level level;
    return log_level_from(v, &level);
}

/* Lower-case words between commas; only the worker knows which roles exist. */
static bool good_roles(struct str v) {
    if (!v.len) return false;
    do {
        struct str role = str_cut(&v, ',');
        if (!role.len) return false;
        for (size_t i = 0; i < role.len; i++) {
            if ((role.ptr[i] < 'a' || role.ptr[i] > 'z') && role.ptr[i] != '-') return false;
        }
    } while (v.ptr);
    return true;
}

/* SCHEME://HOST, SCHEME://HOST:PORT or SCHEME://HOST:*, as a browser writes an origin: nothing behind it. */
static bool good_origin(struct str v) {
    if (str_eq(v, STR("*"))) return true;
    const char *colon = memmem(v.ptr, v.len, "://", 3);
    if (!colon || colon == v.ptr || memchr(v.ptr, ' ', v.len)) return false;
    struct str host = {colon + 3, v.len - (size_t)(colon - v.ptr) - 3};
    if (ends_with(host, STR(":*"))) host.len -= 2;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (c <= ' ' || c > '~' || c == '/' || c == '*' || c == '?' || c == '#' || c == '@') return false;
    }
    return host.len > 0;
}

static bool good_origins(struct str v) {
    if (!v.len) return true;
    do {
        if (!good_origin(str_cut(&v, ','))) return false;
    } while (v.ptr);
    return true;
}

static const struct text_check text_checks[] = {
    {"DATABASE_URL", good_database_url, "a libpq URI that begins with postgresql://"},
    {"REDIS_URL", good_redis_url, "redis://HOST:PORT or unix:///PATH"},
    {"ROOKERY_LISTEN", good_address, "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080"},
    {"ROOKERY_METRICS_LISTEN", good_optional_address, "ADDRESS:PORT, such as 127.0.0.1:9090, or empty"},
    {"ROOKERY_CORS_ORIGINS", good_origins,
     "origins separated by commas, such as https://app.example,http://localhost:*, with no path and no "
     "blank"},
    {"ROOKERY_LOG_LEVEL", good_log_level, "debug, info, warn or error"},
    {"ROOKERY_ROLES", good_roles, "all, or role names separated by commas, such as relay,fanout"},
};

/* --- reading ----------------------------------------------------------------------------------------- */

struct reader {
    char *const *environment;
    char *error;
    size_t size;
};

/* NULL when it is not set. */
static const char *environment_get(const struct reader *r, const char *name) {
    size_t len = strlen(name);
    for (char *const *e = r->environment; *e; e++) {
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') return *e + len + 1;
    }
    return NULL;
}

static bool read_text(const struct reader *r, const char *variable, const char *default_value,
                      const char **out) {
    const char *value = environment_get(r, variable);
    *out = value ? value : default_value;
    for (size_t i = 0; i < sizeof(text_checks) / sizeof(text_checks[0]); i++) {
        const struct text_check *check = &text_checks[i];
        if (strcmp(check->variable, variable) != 0 || check->good(str_from(*out))) continue;
        /* The value is not repeated: a URL may carry a password. */
        snprintf(r->error, r->size, "%s must be %s.", variable, check->what);
        return false;
    }
    return true;
}

static bool read_number(const struct reader *r, const char *variable, int64_t default_value, int64_t lowest,
                        int64_t highest, int64_t *out) {
    const char *value = environment_get(r, variable);
    *out = default_value;
    if (!value || (str_to_i64(str_from(value), out) && *out >= lowest && *out <= highest)) return true;
    snprintf(r->error, r->size, "%s must be a whole number from %" PRId64 " to %" PRId64 ", not \"%.40s\".",
             variable, lowest, highest, value);
    return false;
}

static bool is_in_table(struct str name) {
#define S(variable, member, default_value, help)                                                             \
    if (str_eq(name, STR(variable))) return true;
#define N(variable, member, default_value, lowest, highest, help)                                            \
    if (str_eq(name, STR(variable))) return true;
    CONFIG_TABLE(S, N)
#undef S
#undef N
    return false;
}

/* Kubernetes sets NAME_SERVICE_HOST, NAME_SERVICE_PORT..., NAME_PORT and NAME_PORT_8080_TCP... for every
 * service of the namespace, so a service called rookery-gateway would look like a misspelt setting. */
static bool is_service_link(struct str name) {
    return ends_with(name, STR("_SERVICE_HOST")) || contains(name, STR("_SERVICE_PORT")) ||
           ends_with(name, STR("_PORT")) || contains(name, STR("_TCP")) || contains(name, STR("_UDP"));
}

static bool check_unknown(const struct reader *r) {
    for (char *const *e = r->environment; *e; e++) {
        struct str rest = str_from(*e), name = str_cut(&rest, '=');
        if (!str_starts_with(name, STR("ROOKERY_")) || is_in_table(name) || is_service_link(name)) continue;
        int shown = name.len > 60 ? 60 : (int)name.len;
        snprintf(r->error, r->size, "%.*s is not a setting; --help lists those there are.", shown, name.ptr);
        return false;
    }
    return true;
}

static bool read_all(struct config *c, const struct reader *r) {
#define S(variable, member, default_value, help)                                                             \
    if (!read_text(r, variable, default_value, &c->member)) return false;
#define N(variable, member, default_value, lowest, highest, help)                                            \
    if (!read_number(r, variable, default_value, lowest, highest, &c->member)) return false;
    CONFIG_TABLE(S, N)
#undef S
#undef N
    return check_unknown(r);
}

/* Copies the texts, which point into the environment or at literals, into one piece of memory. */
static bool own_texts(struct config *c) {
    const char **texts[] = {
#define S(variable, member, default_value, help) &c->member,
#define N(variable, member, default_value, lowest, highest, help)
        CONFIG_TABLE(S, N)
#undef S
#undef N
    };
    size_t count = sizeof(texts) / sizeof(texts[0]), total = 0;
    for (size_t i = 0; i < count; i++) total += strlen(*texts[i]) + 1;
    char *at = c->storage = malloc(total);
    if (!at) return false;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(*texts[i]) + 1;
        memcpy(at, *texts[i], len);
        *texts[i] = at;
        at += len;
    }
    return true;
}

bool config_load(struct config *c, char *const *environment, char *error, size_t size) {
    struct reader r = {environment, error, size};
    *c = (struct config){0};
    if (read_all(c, &r)) {
        if (own_texts(c)) return true;
        snprintf(error, size, "Out of memory while reading the configuration.");
    }
    *c = (struct config){0};
    return false;
}

void config_free(struct config *c) {
    free(c->storage);
    *c = (struct config){0};
}

void config_print(FILE *out) {
#define S(variable, member, default_value, help)                                                             \
    fprintf(out, "%-30s %s [%s]\n", variable, help, default_value);
#define N(variable, member, default_value, lowest, highest, help)                                            \
    fprintf(out, "%-30s %s, %lld to %lld [%lld]\n", variable, help, (long long)(lowest),                     \
            (long long)(highest), (long long)(default_value));
    CONFIG_TABLE(S, N)
#undef S
#undef N
}
