/* The backlog; backlog.h says what it is.
 *
 * Measuring sends one query after the other, some for each partition: it is made for people, and for scrapes every
 * few seconds. Figures of different queries are from slightly different moments.
 *
 * Settling:
 *   1. Note the newest outbox row; changes that were committed before have no greater id.
 *   2. Wait until no row up to there is unpublished: its event is on its stream (rows are marked after that).
 *   3. For each stream of a role that feeds timelines: note its newest entry; wait until everything up to there has
 *      been delivered to the role's group, and nothing up to there is pending.
 *   4. Do 3 again: a role may have passed work on to another role's stream before it acknowledged its own.
 * Failures: while a server is unreachable, or a group does not exist yet, look again until the time is over. With a
 * Redis that was emptied 3 ends immediately, which is right: timelines are then rebuilt from SQL. (Not so where streams
 * alone were deleted: docs/promises.md.)
 */
#include "workers/runtime/backlog.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "workers/runtime/backlog.sql.h"
#include "workers/runtime/role_table.h"
#include "workers/runtime/stream_info.h"

#define LOOK_EVERY_MS 20
/* Outbox rows younger than this are left to their gateway to publish (the relay has the same limit). */
#define GRACE_MS 2000
#define COUNT_PAGE 1000

/* ---- measuring ----------------------------------------------------------------------------------------- */

/* Of a stream. */
struct unpublished {
    int64_t rows, oldest_ms;
};
static int measure_outbox(struct fiber *self, struct domain *d, struct unpublished out[static N_STREAMS]) {
    struct pg_result *r;
    for (int i = 0; i < N_STREAMS; i++) out[i] = (struct unpublished){.oldest_ms = INT64_MAX};
    int e = pg_ask(self, d->pg, &BACKLOG_UNPUBLISHED, &r, NULL,
                   pg_i64(snowflake_floor(domain_now_ms(d) - GRACE_MS)));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    while (pg_next(&row)) {
        int64_t stream = pg_take_i64(&row), rows = pg_take_i64(&row), oldest_id = pg_take_i64(&row);
        if (stream < 0 || stream >= N_STREAMS) continue;
        out[stream].rows = rows;
        out[stream].oldest_ms = snowflake_time_ms(oldest_id);
    }
    return 0;
}

/* One role's backlog while it is measured; oldest is INT64_MAX while there is no entry. */
struct measuring {
    struct domain *domain;
    struct role_backlog *out;
    int64_t oldest_ms;
};

static void older(struct measuring *m, int64_t ms) {
    if (ms < m->oldest_ms) m->oldest_ms = ms;
}

/* Returns the number of entries behind this one, up to BACKLOG_COUNT_MAX; -1 when there are more. */
static int count_after(struct fiber *self, struct redis *r, struct str key, struct stream_id after,
                       int64_t *out) {
    *out = 0;
    while (*out < BACKLOG_COUNT_MAX) {
        const struct redis_reply *entries;
        int e = redis_call(self, r, &entries, "XRANGE " STR_FMT " (%" PRId64 "-%" PRId64 " + COUNT %d",
                           STR_ARG(key), after.ms, after.sequence, COUNT_PAGE);
        if (e != 0) return e;
        *out += (int64_t)entries->elements;
        if (entries->elements < COUNT_PAGE) return 0;
        if (!stream_id_parse(entries->element[COUNT_PAGE - 1].element[0].str, &after)) return ERR_REDIS;
    }
    *out = -1;
    return 0;
}

/* The group's place is among the entries that are there. */
static int lag_between(struct fiber *self, struct measuring *m, struct str key,
                       const struct stream_info *stream, const struct group_info *group, int64_t *lag) {
    struct redis *r = m->domain->redis;
    const struct stream_id last = group->last_delivered;
    const struct redis_reply *next;
    struct stream_id id;
    int e = redis_call(self, r, &next, "XRANGE " STR_FMT " (%" PRId64 "-%" PRId64 " + COUNT 1", STR_ARG(key),
                       last.ms, last.sequence);
    if (e != 0 || next->elements == 0) return e;
    if (!stream_id_parse(next->element[0].element[0].str, &id)) return ERR_REDIS;
    older(m, id.ms);
    *lag = group->lag;
    if (*lag < 0) e = count_after(self, r, key, last, lag);
    if (*lag < 0) m->out->exact = false;
    if (*lag < 0 || *lag > stream->length) *lag = stream->length;
    return e;
}

static int lag_of(struct fiber *self, struct measuring *m, struct str key, const struct stream_info *stream,
                  const struct group_info *group, int64_t *lag) {
    *lag = 0;
    if (stream->length == 0) return 0;
    /* A group that does not exist yet will begin at the beginning. */
    if (!group->exists || stream_id_before(group->last_delivered, stream->first)) {
        *lag = stream->length;
        older(m, stream->first.ms);
        return 0;
    }
    if (!stream_id_before(group->last_delivered, stream->last)) return 0;
    return lag_between(self, m, key, stream, group, lag);
}

static int measure_partition(struct fiber *self, struct measuring *m, int partition) {
    char space[KEY_MAX];
    struct redis *r = m->domain->redis;
    struct str key = stream_key(space, m->out->role->stream, partition);
    struct stream_info stream;
    struct group_info group;
    int64_t lag;
    int e = stream_info_read(self, r, key, &stream);
    if (e != 0 || !stream.exists) return e;
    e = group_info_read(self, r, key, str_from(m->out->role->name), &group);
    if (e == 0) e = lag_of(self, m, key, &stream, &group, &lag);
    if (e != 0) return e;
    assert(lag >= 0 && lag <= stream.length);
    m->out->lag += lag;
    m->out->pending += group.pending;
    if (group.pending > 0) older(m, group.oldest_pending.ms);
    return 0;
}

static int measure_role(struct fiber *self, struct domain *d, const struct unpublished *outbox,
                        struct role_backlog *out) {
    struct measuring m = {.domain = d, .out = out, .oldest_ms = INT64_MAX};
    for (int p = 0; p < (int)d->config->partitions; p++) {
        int e = measure_partition(self, &m, p);
        if (e != 0) return e;
    }
    const struct unpublished *waiting = &outbox[out->role->stream - STREAMS];
    out->unpublished = waiting->rows;
    older(&m, waiting->oldest_ms);
    out->entries = out->lag + out->pending + out->unpublished;
    assert(waiting >= outbox && waiting < outbox + N_STREAMS);
    int64_t age_ms = m.oldest_ms == INT64_MAX ? 0 : domain_now_ms(d) - m.oldest_ms;
    out->oldest_age_ms = age_ms > 0 ? age_ms : 0;
    return 0;
}

static int measure_dead_letters(struct fiber *self, struct domain *d, int64_t *out) {
    char space[KEY_MAX];
    *out = 0;
    for (int p = 0; p < (int)d->config->partitions; p++) {
        const struct redis_reply *length;
        struct str key = key_dead(space, p);
        int e = redis_call(self, d->redis, &length, "XLEN " STR_FMT, STR_ARG(key));
        if (e != 0) return e;
        *out += length->integer;
    }
    return 0;
}

static size_t count_roles(void) {
    size_t n = 0;
    while (role_table()[n]) n++;
    return n;
}

int backlog_measure(struct fiber *self, struct domain *d, struct backlog *out, struct fault *fault) {
    struct unpublished outbox[N_STREAMS];
    *out = (struct backlog){.n = count_roles()};
    out->roles = ARENA_ARRAY(fiber_arena(self), struct role_backlog, out->n);
    int e = measure_outbox(self, d, outbox);
    if (e != 0) return fault_set(fault, e, "PostgreSQL: %s", error_text(e));
    for (int i = 0; i < N_STREAMS; i++) out->unpublished += outbox[i].rows;
    for (size_t i = 0; i < out->n && e == 0; i++) {
        out->roles[i] = (struct role_backlog){.role = role_table()[i], .exact = true};
        e = measure_role(self, d, outbox, &out->roles[i]);
    }
    if (e == 0) e = measure_dead_letters(self, d, &out->dead_letters);
    return e == 0 ? 0 : fault_set(fault, e, "Redis: %s", error_text(e));
}

/* ---- settling ------------------------------------------------------------------------------------------ */

struct settling {
    struct domain *domain;
    int64_t give_up_ns;
    int64_t newest; /* outbox row */
    bool newest_known;
    /* 3: the place that the group must have reached */
    struct str group, key;
    struct stream_id target;
    bool target_known;
};

/* Returns true when it is so; false also while it is not known. */
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
    struct pg_result *r;
    if (!s->newest_known) {
        if (pg_ask(self, pg, &BACKLOG_NEWEST, &r, NULL) != 0) return false;
        s->newest = pg_only_i64(r);
        s->newest_known = true;
    }
    return pg_ask(self, pg, &BACKLOG_UNPUBLISHED_UP_TO, &r, NULL, pg_i64(s->newest)) == 0 && !pg_only_bool(r);
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
    if (group_info_read(self, redis, s->key, s->group, &group) != 0) return false;
    if (!group.exists) { /* workers have not started, or Redis has lost it: then it is a new stream */
        s->target_known = false;
        return s->target.ms == 0; /* it never had an entry */
    }
    if (stream_id_before(group.last_delivered, s->target)) return false;
    return stream_id_before(s->target, group_info_needs(&group));
}

typedef bool role_choice(const struct role *role);

static bool feeds_timelines(const struct role *role) {
    return role->feeds_timelines;
}

static bool is_fed_by_outbox(const struct role *role) {
    return role->stream->in_outbox;
}

static int wait_for_group(struct fiber *self, struct settling *s, struct str group, struct str key) {
    assert(key.len > 0);
    s->group = group;
    s->key = key;
    s->target_known = false;
    return wait_for(self, s, group_passed);
}

static int wait_for_roles(struct fiber *self, struct settling *s, role_choice *chosen) {
    char space[KEY_MAX];
    for (const struct role *const *r = role_table(); *r; r++) {
        if (!chosen(*r)) continue;
        for (int p = 0; p < (int)s->domain->config->partitions; p++) {
            int e = wait_for_group(self, s, str_from((*r)->name), stream_key(space, (*r)->stream, p));
            if (e != 0) return e;
        }
    }
    return 0;
}

/* Also for groups that are not roles of this program. */
static int wait_for_all_groups(struct fiber *self, struct settling *s, const struct stream *stream) {
    char space[KEY_MAX];
    for (int p = 0; p < (int)s->domain->config->partitions; p++) {
        struct str key = stream_key(space, stream, p), *names;
        size_t n;
        int e = groups_read(self, s->domain->redis, key, &names, &n);
        for (size_t i = 0; i < n && e == 0; i++) e = wait_for_group(self, s, names[i], key);
        if (e != 0) return e;
    }
    return 0;
}

static int late(int e, struct fault *fault, const char *what) {
    if (e != ERR_DEADLINE_EXCEEDED) return e;
    return fault_set(fault, ERR_DEADLINE_EXCEEDED,
                     "the backlog does not empty: %s; see rookery-worker backlog", what);
}

int backlog_settle(struct fiber *self, struct domain *d, int64_t limit_ms, struct fault *fault) {
    struct settling s = {.domain = d, .give_up_ns = clock_mono_ns() + limit_ms * NS_PER_MS};
    int e = wait_for(self, &s, all_published);
    if (e != 0) return late(e, fault, "events wait in the outbox");
    for (int round = 0; round < 2; round++) {
        e = wait_for_roles(self, &s, feeds_timelines);
        if (e != 0)
            return late(
                e, fault,
                arena_printf(fiber_arena(self), "events wait for the role " STR_FMT, STR_ARG(s.group)));
    }
    return 0;
}

int backlog_await_processed(struct fiber *self, struct domain *d, int64_t limit_ms) {
    struct settling s = {.domain = d, .give_up_ns = clock_mono_ns() + limit_ms * NS_PER_MS};
    int e = wait_for_roles(self, &s, is_fed_by_outbox);
    for (int i = 0; i < N_STREAMS && e == 0; i++)
        if (STREAMS[i].in_outbox) e = wait_for_all_groups(self, &s, &STREAMS[i]);
    return e;
}
