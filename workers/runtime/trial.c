/* Trials; story and proof: trial.h. Redis runs a script as one step, so an entry's owner does not change between
 * looking and setting its number. */
#include "workers/runtime/trial.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/event/outbox.h"

#define LOOK_MS 100
/* A process that has lived so long is not in a loop of crashes at its start. */
#define GROWN_UP_MS 1000

/* ARGV: group, consumer, entry, its number of deliveries. */
static const struct redis_script SET_DELIVERIES = {
    .name = "trial_set_deliveries",
    .body = "local group, consumer, entry, deliveries = unpack(ARGV)\n"
            "if #redis.call('XPENDING', KEYS[1], group, entry, entry, 1, consumer) == 0 then return 0 end\n"
            "redis.call('XCLAIM', KEYS[1], group, consumer, 0, entry, 'RETRYCOUNT', deliveries, 'JUSTID')\n"
            "return 1\n",
};

/* ARGV: group, entry, the role's interests (0: all). Walks along the entries that were delivered after it, until one is
 * not pending and was for the role: those it skips are acknowledged unread. */
static const struct redis_script LATER_IS_SETTLED = {
    .name = "trial_later_is_settled",
    .body = "local interests = tonumber(ARGV[3])\n"
            "local function is_for_role(fields)\n"
            "  for i = 1, #fields, 2 do\n"
            "    local name, value = fields[i], fields[i + 1]\n"
            "    if name == '" OUTBOX_ADDRESSED "' and value ~= ARGV[1] then return false end\n"
            "    local of = name == '" OUTBOX_KIND "' and tonumber(string.match(value, ' (%d+)$'))\n"
            "    if of and interests ~= 0 and bit.band(of, interests) == 0 then return false end\n"
            "  end\n"
            "  return true\n"
            "end\n"
            "local last\n"
            "for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
            "  local info = {}\n"
            "  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end\n"
            "  if info['name'] == ARGV[1] then last = info['last-delivered-id'] end\n"
            "end\n"
            "local from = ARGV[2]\n"
            "while last do\n"
            "  local delivered = redis.call('XRANGE', KEYS[1], '(' .. from, last, 'COUNT', 100)\n"
            "  for _, entry in ipairs(delivered) do\n"
            "    from = entry[1]\n"
            "    if is_for_role(entry[2]) and #redis.call('XPENDING', KEYS[1], ARGV[1], from, from, 1) == 0 "
            "then\n"
            "      return 1\n"
            "    end\n"
            "  end\n"
            "  if #delivered < 100 then break end\n"
            "end\n"
            "return 0\n",
};

/* ---- the turn ------------------------------------------------------------------------------------------ */

bool trial_open(struct trial *t, struct worker *w) {
    if (w->trial || clock_mono_ns() - w->started_ns < GROWN_UP_MS * NS_PER_MS) return false;
    *t = (struct trial){.worker = w};
    w->trial = t;
    return true;
}

static void give_turn_back(struct trial *t) {
    if (t->worker->trial == t) t->worker->trial = NULL;
}

/* ---- the advocate -------------------------------------------------------------------------------------- */

static bool set_deliveries(struct fiber *self, struct trial *t, int64_t deliveries) {
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, deliveries);
    const struct str args[] = {str_from(t->group), str_from(t->worker->consumer), t->item->stream_id,
                               str_from(number)};
    return redis_eval(self, t->worker->domain.redis, &SET_DELIVERIES, t->key, args, 4, NULL) == 0;
}

/* Runs in the lane's fiber, after an excused wait. A lane that was interrupted does not continue: its entry is handed
 * back. */
static void count_again(struct fiber *self, void *arg) {
    struct trial *t = arg;
    if (fiber_cancelled(self)) return;
    if (!t->worker->trial) t->worker->trial = t;
    set_deliveries(self, t, t->item->deliveries + 1);
}

static bool excuse(struct fiber *self, struct trial *t) {
    fiber_on_resume(t->lane, count_again, t);
    give_turn_back(t);
    assert(t->worker->trial != t);
    return set_deliveries(self, t, t->item->deliveries);
}

static void advocate(struct fiber *self, void *arg) {
    struct trial *t = arg;
    uint64_t seen = 0, excused = 0;
    while (fiber_sleep_ms(self, LOOK_MS) == 0) {
        uint64_t wait = fiber_wait_number(t->lane);
        if (wait != 0 && wait == seen && wait != excused && excuse(self, t)) excused = wait;
        seen = wait;
        arena_reset(fiber_arena(self));
    }
    latch_done(&t->advocate_left);
}

void trial_watch(struct fiber *self, struct trial *t, struct str key, const char *group,
                 const struct item *item) {
    struct fiber_options options = {.name = "advocate"};
    assert(t->worker->trial == t && !t->item && !t->advocate);
    t->key = key;
    t->group = group;
    t->item = item;
    t->lane = self;
    latch_init(&t->advocate_left, 1);
    if (fiber_spawn(fiber_loop(self), &options, advocate, t, &t->advocate) != 0) t->advocate = NULL;
}

/* Also of a lane that was interrupted: the advocate must not outlive it. */
void trial_close(struct fiber *self, struct trial *t) {
    if (t->advocate) {
        fiber_cancel(t->advocate);
        t->advocate_left.waiter = self;
        while (t->advocate_left.left > 0) fiber_park_uninterruptible(self);
    }
    give_turn_back(t);
}

/* ---- the verdict --------------------------------------------------------------------------------------- */

bool trial_is_over(const struct worker *w, const struct item *item) {
    int64_t most = w->domain.config->max_deliveries;
    return item->deliveries > (most > SUSPECT_DELIVERIES ? most : SUSPECT_DELIVERIES);
}

bool trial_has_evidence(struct fiber *self, struct worker *w, struct str key, const struct role *role,
                        const struct item *item) {
    char interests[16];
    snprintf(interests, sizeof interests, "%" PRIu32, role->interests);
    const struct str args[] = {str_from(role->name), item->stream_id, str_from(interests)};
    const struct redis_reply *settled;
    return redis_eval(self, w->domain.redis, &LATER_IS_SETTLED, key, args, 3, &settled) == 0 &&
           settled->integer == 1;
}
