/* Trimming: removes entries that every group has acknowledged.
 *
 * A group needs everything from its oldest pending entry on or, with none pending, everything after the last entry
 * delivered to it. The lowest of these places over all groups is where the stream may begin, and entries of the last
 * KEEP_MS stay. One script looks and trims, so nothing happens in between.
 *
 * Which groups: all that exist on the stream. The table of roles of this program says only which groups must exist
 * before anything is trimmed. While workers of a newer program run beside those of an older one, the leader may be an
 * older one. Which clock: Redis's own, from which the ids of entries are made. No clock of ours takes part. While
 * Redis's clock stands or steps back, less is trimmed. A step forward by more than KEEP_MS can trim entries that a
 * gateway has not heard yet, if every group was faster; the gateway's hub then finds by its count that entries are
 * missing.
 * Failures: any error leaves the stream as it is until the next time.
 */
#include "workers/runtime/trim.h"

#include <assert.h>

#include "workers/runtime/role_table.h"

#define KEEP_MS "60000"
/* Roles of one stream. */
#define GROUPS_MAX 32

/* ARGV: ms to keep, names of groups that must exist. Returns the names of the groups that do. */
static const struct redis_script TRIM = {
    .name = "trim",
    .body = "local function before(a, b)\n"
            "  local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')\n"
            "  local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')\n"
            "  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end\n"
            "  return tonumber(a_seq) < tonumber(b_seq)\n"
            "end\n"
            "if redis.call('EXISTS', KEYS[1]) == 0 then return {} end\n"
            "local time = redis.call('TIME')\n"
            "local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[1])\n"
            "local from, names, exists = string.format('%.0f-0', math.max(ms, 0)), {}, {}\n"
            "for i, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
            "  local info = {}\n"
            "  for k = 1, #group, 2 do info[group[k]] = group[k + 1] end\n"
            "  names[i], exists[info['name']] = info['name'], true\n"
            "  local needs = info['last-delivered-id']\n"
            "  if info['pending'] > 0 then needs = redis.call('XPENDING', KEYS[1], info['name'])[2] end\n"
            "  if before(needs, from) then from = needs end\n"
            "end\n"
            "for i = 2, #ARGV do if not exists[ARGV[i]] then return names end end\n"
            "redis.call('XTRIM', KEYS[1], 'MINID', '~', from)\n"
            "return names\n",
};

static bool is_role_of(const struct stream *stream, struct str group) {
    const struct role *role = role_find(group);
    return role && role->stream == stream;
}

/* Once for each process: the operator has to look at all groups anyway. */
static void warn_of_foreign_groups(struct worker *w, const struct stream *stream, struct str key,
                                   const struct redis_reply *names) {
    for (size_t i = 0; i < names->elements && !w->warned_of_groups; i++) {
        if (is_role_of(stream, names->element[i].str)) continue;
        log_warn(w->domain.log,
                 "role tables differ: a consumer group is not a role of this program; keeping what it has "
                 "not acknowledged; when no worker serves it any more, remove it with XGROUP DESTROY",
                 LOG_STR("stream", key), LOG_STR("group", names->element[i].str));
        w->warned_of_groups = true;
    }
}

static void trim_partition(struct fiber *self, struct worker *w, const struct stream *stream, int partition) {
    char space[KEY_MAX];
    struct str key = stream_key(space, stream, partition), args[GROUPS_MAX] = {STR(KEEP_MS)};
    const struct redis_reply *names;
    size_t n = 1;
    assert(partition >= 0 && partition < (int)w->domain.config->partitions);
    for (const struct role *const *r = role_table(); *r && n < GROUPS_MAX; r++)
        if ((*r)->stream == stream) args[n++] = str_from((*r)->name);
    assert(n < GROUPS_MAX);
    if (redis_eval(self, w->domain.redis, &TRIM, key, args, n, &names) == 0)
        warn_of_foreign_groups(w, stream, key, names);
}

void trim_streams(struct fiber *self, struct worker *w) {
    for (int i = 0; i < N_STREAMS; i++)
        for (int p = 0; p < (int)w->domain.config->partitions; p++) trim_partition(self, w, &STREAMS[i], p);
}
