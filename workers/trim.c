/* Trimming: what every group has acknowledged may go.
 *
 * A group needs everything from its oldest pending entry on, or, with none pending, everything after the last
 * entry it was given. The lowest of these over all groups is where the stream may begin. An entry read
 * between the look and the XTRIM is younger than what was looked at, so it is never cut. Failures: any error
 * leaves the stream as it is until the next time.
 */
#include "workers/trim.h"

#include <inttypes.h>

#include "core/base/clock.h"
#include "workers/roles.h"

#define KEEP_MS 60000

/* A stream id: milliseconds and sequence. */
struct stream_id {
    int64_t ms, sequence;
};

static bool parse_id(struct str s, struct stream_id *out) {
    struct str ms = str_cut(&s, '-');
    return str_to_i64(ms, &out->ms) && str_to_i64(s, &out->sequence);
}

static bool before(struct stream_id a, struct stream_id b) {
    return a.ms != b.ms ? a.ms < b.ms : a.sequence < b.sequence;
}

/* The value behind a name in a flat [name, value, ...] reply. */
static const struct redis_reply *value_of(const struct redis_reply *flat, struct str name) {
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (str_eq(flat->element[i].str, name)) return &flat->element[i + 1];
    return NULL;
}

/* From where on this group needs the stream; false when that cannot be said. */
static bool needed_by(struct fiber *self, struct worker *w, struct str key, const struct redis_reply *group,
                      struct stream_id *out) {
    const struct redis_reply *name = value_of(group, STR("name")), *pending = value_of(group, STR("pending"));
    const struct redis_reply *last = value_of(group, STR("last-delivered-id"));
    if (!name || !pending || !last) return false;
    if (pending->integer == 0) return parse_id(last->str, out);
    const struct redis_reply *r;
    int e = redis_call(self, w->domain.redis, &r, "XPENDING " STR_FMT " " STR_FMT, STR_ARG(key),
                       STR_ARG(name->str));
    if (e != 0 || r->type != REDIS_ARRAY || r->elements < 2) return false;
    /* None is pending any more: then the next time. */
    return r->element[1].type == REDIS_STRING && parse_id(r->element[1].str, out);
}

static const struct redis_reply *find_group(const struct redis_reply *groups, struct str name) {
    for (size_t i = 0; i < groups->elements; i++) {
        const struct redis_reply *found = value_of(&groups->element[i], STR("name"));
        if (found && str_eq(found->str, name)) return &groups->element[i];
    }
    return NULL;
}

static bool slowest(struct fiber *self, struct worker *w, const struct stream *stream, struct str key,
                    struct stream_id *out) {
    const struct redis_reply *groups;
    if (redis_call(self, w->domain.redis, &groups, "XINFO GROUPS " STR_FMT, STR_ARG(key)) != 0) return false;
    *out = (struct stream_id){.ms = clock_wall_ms() - KEEP_MS};
    for (const struct role *const *r = ROLES; *r; r++) {
        if ((*r)->stream != stream) continue;
        const struct redis_reply *group = find_group(groups, str_from((*r)->name));
        struct stream_id needed;
        if (!group || !needed_by(self, w, key, group, &needed)) return false;
        if (before(needed, *out)) *out = needed;
    }
    return true;
}

static void trim_partition(struct fiber *self, struct worker *w, const struct stream *stream, int partition) {
    char space[KEY_MAX];
    struct str key = stream->key(space, partition);
    struct stream_id from;
    const struct redis_reply *cut;
    if (slowest(self, w, stream, key, &from))
        redis_call(self, w->domain.redis, &cut, "XTRIM " STR_FMT " MINID ~ %" PRId64 "-%" PRId64,
                   STR_ARG(key), from.ms, from.sequence);
}

/* Is this the first role of its stream in the table? */
static bool first_of_stream(const struct role *const *r) {
    for (const struct role *const *other = ROLES; other < r; other++)
        if ((*other)->stream == (*r)->stream) return false;
    return true;
}

void trim_streams(struct fiber *self, struct worker *w) {
    for (const struct role *const *r = ROLES; *r; r++)
        for (int p = 0; first_of_stream(r) && p < (int)w->domain.config->partitions; p++)
            trim_partition(self, w, (*r)->stream, p);
}
