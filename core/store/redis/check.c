/* The table of what must hold of Redis, read from INFO. */
#include "core/store/redis/check.h"

#include <string.h>

#include "core/base/server_check.h"

struct facts {
    struct str version, role, policy;
    int64_t maxmemory, cluster, aof; /* -1: not reported */
};

/* The value of a line "name:value"; empty when there is none. */
static struct str value_of(struct str info, struct str name) {
    while (info.len > 0) {
        struct str line = str_trim(str_cut(&info, '\n'));
        if (str_eq(str_cut(&line, ':'), name)) return line;
    }
    return (struct str){0};
}

static int64_t number_of(struct str info, struct str name) {
    int64_t n;
    return str_to_i64(value_of(info, name), &n) ? n : -1;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

/* Features in use that 6.2 lacks: entries-added of XINFO STREAM, and XCLAIM that leaves out deleted entries. */
static bool is_old(const void *facts) {
    struct str version = ((const struct facts *)facts)->version;
    int64_t major;
    return str_to_i64(str_cut(&version, '.'), &major) && major < 7;
}

static bool is_cluster(const void *facts) {
    return ((const struct facts *)facts)->cluster == 1;
}

static bool is_replica(const void *facts) {
    return str_eq(((const struct facts *)facts)->role, STR("slave"));
}

static bool evicts_streams(const void *facts) {
    const struct facts *f = facts;
    return f->maxmemory > 0 && str_starts_with(f->policy, STR("allkeys-"));
}

static bool keeps_no_log(const void *facts) {
    return ((const struct facts *)facts)->aof == 0;
}

static const struct server_check CHECKS[] = {
    {LOG_ERROR, is_old, "Redis is too old: REDIS_URL must lead to version 7.0 or later"},
    {LOG_ERROR, is_cluster,
     "Redis is in cluster mode, which this program does not speak: REDIS_URL must lead to a server with "
     "cluster-enabled no"},
    {LOG_ERROR, is_replica,
     "Redis is a replica, so nothing can be written: REDIS_URL must lead to the primary"},
    {LOG_ERROR, evicts_streams,
     "Redis evicts any key when memory is full, streams of events too, which loses posts: set "
     "maxmemory-policy to noeviction, or to volatile-lru or another volatile-* policy"},
    {LOG_INFO, keeps_no_log,
     "Redis keeps no log of its data: when it ends, timelines are rebuilt and events republished, but dead "
     "letters are lost; set appendonly to yes to keep them"},
};

const char *redis_check(struct str info, unsigned *logged, struct log *log) {
    struct facts facts = {
        .version = value_of(info, STR("redis_version")),
        .role = value_of(info, STR("role")),
        .policy = value_of(info, STR("maxmemory_policy")),
        .maxmemory = number_of(info, STR("maxmemory")),
        .cluster = number_of(info, STR("cluster_enabled")),
        .aof = number_of(info, STR("aof_enabled")),
    };
    return server_check(CHECKS, sizeof CHECKS / sizeof *CHECKS, &facts, logged, log);
}
