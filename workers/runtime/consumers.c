/* Leaving a group, and deleting the names of consumers that died without leaving. Redis runs a script as one step, so
 * nothing becomes pending between looking and deleting. */
#include "workers/runtime/consumers.h"

#include <assert.h>

#include "workers/runtime/role_table.h"
#include "workers/runtime/stream_info.h"

/* Longer than any ROOKERY_RECLAIM_MS. */
#define LONG_FORGOTTEN_MS "3600000"
#define SILENT_TIMES 20

/* ARGV: group, consumer, idle ms. Returns the number of entries handed back; -1: there were none, and the name is
 * deleted. */
static const struct redis_script LEAVE = {
    .name = "consumers_leave",
    .body = "local from, handed = '-', 0\n"
            "while true do\n"
            "  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], from, '+', 1000, ARGV[2])\n"
            "  if #pending == 0 then break end\n"
            "  local claim = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0}\n"
            "  for i, entry in ipairs(pending) do claim[#claim + 1] = entry[1] end\n"
            "  for i, word in ipairs({'IDLE', ARGV[3], 'JUSTID'}) do claim[#claim + 1] = word end\n"
            "  redis.call(unpack(claim))\n"
            "  handed = handed + #pending\n"
            "  from = '(' .. pending[#pending][1]\n"
            "end\n"
            "if handed > 0 then return handed end\n"
            "redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\n"
            "return -1\n",
};

/* ARGV: group, consumer. */
static const struct redis_script DELETE_IDLE = {
    .name = "consumers_delete_idle",
    .body = "if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end\n"
            "redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\n"
            "return 1\n",
};

int64_t consumers_leave(struct fiber *self, struct worker *w, const struct role *role) {
    const struct str args[] = {str_from(role->name), str_from(w->consumer), STR(LONG_FORGOTTEN_MS)};
    char space[KEY_MAX];
    int64_t handed = 0;
    assert(w->stopping && w->lanes_left.left == 0);
    for (int p = 0; p < (int)w->domain.config->partitions; p++) {
        const struct redis_reply *reply;
        int e =
            redis_eval(self, w->domain.redis, &LEAVE, stream_key(space, role->stream, p), args, 3, &reply);
        if (e != 0 && e != ERR_REDIS)
            return handed; /* Redis refuses when there is no such group (any more) */
        if (e == 0 && reply->integer > 0) handed += reply->integer;
    }
    return handed;
}

static void sweep_group(struct fiber *self, struct worker *w, struct str key, const char *group) {
    struct redis *redis = w->domain.redis;
    int64_t limit_ms = SILENT_TIMES * w->domain.config->reclaim_ms;
    struct consumer_info *all;
    size_t n;
    if (consumers_info_read(self, redis, key, str_from(group), &all, &n) != 0) return;
    for (size_t i = 0; i < n; i++) {
        if (all[i].pending != 0 || all[i].idle_ms < limit_ms) continue;
        const struct str args[] = {str_from(group), all[i].name};
        const struct redis_reply *deleted;
        if (redis_eval(self, redis, &DELETE_IDLE, key, args, 2, &deleted) == 0 && deleted->integer == 1)
            log_debug(w->domain.log, "removed a silent consumer", LOG_S("group", group),
                      LOG_STR("consumer", all[i].name));
    }
}

void consumers_sweep(struct fiber *self, struct worker *w) {
    char space[KEY_MAX];
    for (const struct role *const *r = role_table(); *r; r++)
        for (int p = 0; p < (int)w->domain.config->partitions; p++)
            sweep_group(self, w, stream_key(space, (*r)->stream, p), (*r)->name);
}
