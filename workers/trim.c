/* Trimming: what every group has acknowledged may go.
 *
 * A group needs everything from its oldest pending entry on, or, with none pending, everything after the last
 * entry it was given. The lowest of these over all groups is where the stream may begin. An entry read
 * between the look and the XTRIM is younger than what was looked at, so it is never cut.
 * Failures: any error leaves the stream as it is until the next time.
 */
#include "workers/trim.h"

#include <inttypes.h>

#include "core/base/clock.h"
#include "workers/roles.h"
#include "workers/stream_info.h"

#define KEEP_MS 60000

static bool slowest(struct fiber *self, struct worker *w, const struct stream *stream, struct str key,
                    struct stream_id *out) {
    *out = (struct stream_id){.ms = clock_wall_ms() - KEEP_MS};
    for (const struct role *const *r = ROLES; *r; r++) {
        if ((*r)->stream != stream) continue;
        struct group_info group;
        int e = group_info_read(self, w->domain.redis, key, str_from((*r)->name), &group);
        if (e != 0 || !group.exists) return false;
        struct stream_id needed = group_info_needs(&group);
        if (stream_id_before(needed, *out)) *out = needed;
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
