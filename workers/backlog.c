/* The backlog.
 *
 * Settling:
 *   1. The newest outbox row is noted; what was committed before has no greater id.
 *   2. Wait until no row up to there is unpublished: its event is on its stream (rows are marked after that).
 *   3. Every stream that a role which feeds timelines reads: its newest entry is noted; wait until the role's
 *      group has been given everything up to there, and nothing up to there is pending.
 *   4. Again 3: a role may have passed work on to another's stream before it acknowledged its own.
 * Failures: a server that is away, or a group that does not exist yet: looked at again until the time is over. A Redis
 * that has lost its streams lets 3 pass at once, which is right: timelines then are built anew from SQL.
 */
#include "workers/backlog.h"

#include "core/base/clock.h"
#include "workers/roles.h"
#include "workers/stream_info.h"

#define LOOK_EVERY_MS 20

/* ---- settling
 * ------------------------------------------------------------------------------------------------------ */

static const struct pg_stmt NEWEST = {
    .name = "backlog_newest",
    .sql = "SELECT coalesce(max(id), 0) FROM outbox",
    .read_only = true,
};

static const struct pg_stmt UNPUBLISHED_UP_TO = {
    .name = "backlog_unpublished_up_to",
    .sql = "SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND id <= $1)",
    .read_only = true,
};

struct settling {
    struct domain *domain;
    int64_t give_up_ns;
    int64_t newest; /* outbox row */
    bool newest_known;
    /* 3: where the group must have come */
    const struct role *role;
    struct str key;
    struct stream_id target;
    bool target_known;
};

/* Is it so? False also while it cannot be told. */
typedef bool settled_fn(struct fiber *self, struct settling *s);

static int wait_for(struct fiber *self, struct settling *s, settled_fn *fn) {
    while (!fn(self, s)) {
        if (clock_mono_ns() > s->give_up_ns) return ERR_DEADLINE_EXCEEDED;
        int e = fiber_sleep_ms(self, LOOK_EVERY_MS);
        if (e != 0) return e;
    }
    return 0;
}

static bool all_published(struct fiber *self, struct settling *s) {
    struct pg *pg = s->domain->pg;
    struct pg_args args;
    struct pg_result *r;
    pg_args_init(&args, fiber_arena(self));
    if (!s->newest_known) {
        if (pg_exec(self, pg, &NEWEST, &args, &r, NULL) != 0) return false;
        s->newest = pg_get_i64(r, 0, 0);
        s->newest_known = true;
    }
    pg_i64(&args, s->newest);
    return pg_exec(self, pg, &UNPUBLISHED_UP_TO, &args, &r, NULL) == 0 && !pg_get_bool(r, 0, 0);
}

static bool group_passed(struct fiber *self, struct settling *s) {
    struct redis *redis = s->domain->redis;
    if (!s->target_known) {
        struct stream_info stream;
        if (stream_info_read(self, redis, s->key, &stream) != 0) return false;
        if (!stream.exists) return true;
        s->target = stream.last;
        s->target_known = true;
    }
    struct group_info group;
    if (group_info_read(self, redis, s->key, str_from(s->role->name), &group) != 0) return false;
    if (!group.exists) { /* workers have not begun, or Redis has lost it: then the stream is another */
        s->target_known = false;
        return s->target.ms == 0; /* nothing was ever in it */
    }
    if (stream_id_before(group.last_delivered, s->target)) return false;
    return stream_id_before(s->target, group_info_needs(&group));
}

static int wait_for_roles(struct fiber *self, struct settling *s) {
    char space[KEY_MAX];
    for (const struct role *const *r = ROLES; *r; r++) {
        if (!(*r)->feeds_timelines) continue;
        for (int p = 0; p < (int)s->domain->config->partitions; p++) {
            s->role = *r;
            s->key = (*r)->stream->key(space, p);
            s->target_known = false;
            int e = wait_for(self, s, group_passed);
            if (e != 0) return e;
        }
    }
    return 0;
}

static int late(int e, struct fault *fault, const char *what) {
    if (e != ERR_DEADLINE_EXCEEDED) return e;
    return fault_set(fault, ERR_DEADLINE_EXCEEDED, "the backlog does not empty: %s; do workers run?", what);
}

int backlog_settle(struct fiber *self, struct domain *d, int64_t limit_ms, struct fault *fault) {
    struct settling s = {.domain = d, .give_up_ns = clock_mono_ns() + limit_ms * NS_PER_MS};
    int e = wait_for(self, &s, all_published);
    if (e != 0) return late(e, fault, "events wait in the outbox");
    for (int round = 0; round < 2; round++) {
        e = wait_for_roles(self, &s);
        if (e != 0)
            return late(e, fault,
                        arena_printf(fiber_arena(self), "events wait for the role %s", s.role->name));
    }
    return 0;
}
