/* The materialised home timeline; the format, the lemma and the rebuild's story are in list.h. */
#include "core/domain/timeline/list.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/event/keys.h"

/* ---- parsing ------------------------------------------------------------------------------------------- */

/* One element; called for the leftmost first. Returns false when the element is unknown. */
static bool parse_element(struct timeline_part *part, struct str s, bool first) {
    struct str number = {s.ptr + 1, s.len - 1};
    int64_t value;
    if (str_to_i64(s, &value) && value != 0 && value != INT64_MIN) {
        part->ids[part->n++] = value < 0 ? -value : value;
        part->unbound++;
        return true;
    }
    if (s.len < 2) return false;
    if (s.ptr[0] == 'f' && str_to_i64(number, &value) && value >= 0) {
        if (part->bound == INT64_MAX) part->bound = value;
        part->unbound = 0;
        return true;
    }
    bool mark = first && s.ptr[0] == 'b' && str_to_i64(str_cut(&number, ':'), &value);
    part->building |= mark;
    return mark;
}

static int descending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static bool descends(const int64_t *v, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (v[i - 1] <= v[i]) return false;
    return true;
}

/* The input is nearly always sorted, since deliveries come in time order: one backward pass checks that, and only
 * other input is sorted. */
static void sort_unique_descending(int64_t *v, size_t *n) {
    for (size_t i = 0; i < *n / 2; i++) {
        int64_t swapped = v[i];
        v[i] = v[*n - 1 - i];
        v[*n - 1 - i] = swapped;
    }
    if (descends(v, *n)) return;
    qsort(v, *n, sizeof *v, descending);
    size_t kept = *n > 0;
    for (size_t i = 1; i < *n; i++)
        if (v[i] != v[kept - 1]) v[kept++] = v[i];
    *n = kept;
    assert(descends(v, *n));
}

void timeline_add_range(struct redis_batch *b, struct str key, size_t asked) {
    redis_cmd(b, 4);
    redis_arg(b, STR("LRANGE"));
    redis_arg(b, key);
    redis_arg_i64(b, -(int64_t)asked);
    redis_arg(b, STR("-1"));
}

void timeline_parse(const struct redis_reply *range, size_t asked, bool whole, struct arena *a,
                    struct timeline_part *out) {
    *out = (struct timeline_part){.bound = INT64_MAX, .whole = whole || range->elements < asked};
    out->ids = ARENA_ARRAY(a, int64_t, range->elements);
    bool good = true;
    for (size_t i = 0; i < range->elements; i++) good &= parse_element(out, range->element[i].str, i == 0);
    if (!good || out->building) out->bound = INT64_MAX;
    sort_unique_descending(out->ids, &out->n);
    assert(out->n + out->building <= range->elements && out->unbound <= range->elements);
    assert(out->bound >= 0 && (!out->building || out->bound == INT64_MAX));
    assert(out->n == 0 || out->ids[out->n - 1] > 0);
}

/* ---- rebuilding ---------------------------------------------------------------------------------------- */

/* ARGV: nonce, ms after which another's mark is stale, TTL. Returns our building mark when this call may build the
 * list. */
static const struct redis_script CLAIM = {
    .name = "timeline_claim",
    .body = "local time = redis.call('TIME')\n"
            "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
            "local mark = string.format('b%.0f:%s', now, ARGV[1])\n"
            "local head = redis.call('LINDEX', KEYS[1], 0)\n"
            "if not head then\n"
            "  redis.call('RPUSH', KEYS[1], mark)\n"
            "  redis.call('EXPIRE', KEYS[1], ARGV[3])\n"
            "  return mark\n"
            "end\n"
            "local since = string.match(head, '^b(%d+):')\n"
            "if since and tonumber(since) < now - tonumber(ARGV[2]) then\n"
            "  redis.call('LSET', KEYS[1], 0, mark)\n"
            "  return mark\n"
            "end\n"
            "return false\n",
};

/* ARGV: our building mark, TTL, then the elements in front of the deliveries, from right to left. Returns 1 when the
 * mark was still there and the list is now built. */
static const struct redis_script FILL = {
    .name = "timeline_fill",
    .body = "if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return 0 end\n"
            "redis.call('LPOP', KEYS[1])\n"
            "for i = 3, #ARGV, 500 do\n"
            "  redis.call('LPUSH', KEYS[1], unpack(ARGV, i, math.min(i + 499, #ARGV)))\n"
            "end\n"
            "redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
            "return 1\n",
};

/* Loads the relations under the claim (see the header), and by them the entries. */
static int read_entries(struct fiber *self, struct domain *d, int64_t viewer_id, struct entry **entries,
                        size_t *n, struct fault *fault) {
    struct relations r;
    int e = relations_load(self, d, viewer_id, &r, fault);
    if (e != 0) return e;
    e = home_from_sql(self, d, &r, INT64_MAX, HOME_LENGTH, entries, n, fault);
    relations_free(&r);
    return e;
}

static struct str decimal(struct arena *a, const char *prefix, int64_t v) {
    return str_from(arena_printf(a, "%s%" PRId64, prefix, v));
}

/* The entries, newest first, with a floor every so often (the first one soon, so that the next is not pushed soon),
 * and the lowest at the end. */
static size_t list_elements(struct arena *a, const struct entry *entries, size_t n, struct str *out) {
    size_t at = 0;
    assert(n <= HOME_LENGTH);
    for (size_t i = 0; i < n; i++) {
        if (i % FLOOR_EVERY == FLOOR_EVERY / 2) out[at++] = decimal(a, "f", entries[i].id);
        out[at++] = decimal(a, "", entries[i].id);
    }
    out[at++] = decimal(a, "f", n < HOME_LENGTH ? 0 : entries[n - 1].id - 1);
    return at;
}

static void fill(struct fiber *self, struct domain *d, struct str key, struct str mark,
                 const struct entry *entries, size_t n, bool *written) {
    struct arena *a = fiber_arena(self);
    struct str *args = ARENA_ARRAY(a, struct str, 2 + n + n / FLOOR_EVERY + 2);
    args[0] = mark;
    args[1] = decimal(a, "", d->config->timeline_ttl_s);
    size_t n_args = 2 + list_elements(a, entries, n, args + 2);
    assert(n_args <= 2 + n + n / FLOOR_EVERY + 2);
    const struct redis_reply *reply;
    *written = redis_eval(self, d->redis, &FILL, key, args, n_args, &reply) == 0 && reply->integer == 1;
}

int timeline_rebuild(struct fiber *self, struct domain *d, int64_t epoch, int64_t viewer_id,
                     struct entry **entries, size_t *n, bool *written, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    char key_space[KEY_MAX];
    struct str key = key_timeline(key_space, epoch, viewer_id);
    const struct str claim[] = {str_from(arena_printf(a, "%016" PRIx64, random_u64())),
                                decimal(a, "", BUILD_STALE_MS), decimal(a, "", d->config->timeline_ttl_s)};
    const struct redis_reply *mark;
    assert(viewer_id != 0);
    *written = false;
    /* A failure of Redis only means that no list is kept: the page comes from SQL anyway. */
    bool claimed =
        redis_eval(self, d->redis, &CLAIM, key, claim, 3, &mark) == 0 && mark->type == REDIS_STRING;
    int e = read_entries(self, d, viewer_id, entries, n, fault);
    if (e == 0 && claimed) fill(self, d, key, mark->str, *entries, *n, written);
    return e;
}

/* ---- floors -------------------------------------------------------------------------------------------- */

/* ARGV: how many ids must stand right of the last floor. Ids are compared as text, since Lua's numbers are too small.
 * Returns 1 when it pushed a floor. */
static const struct redis_script PUSH_FLOOR = {
    .name = "timeline_push_floor",
    .body = REDIS_LUA_GREATER
    "local left, met, most = redis.call('LLEN', KEYS[1]), 0, '0'\n"
    "while left > 0 do\n"
    "  local from = math.max(left - 64, 0)\n"
    "  local part = redis.call('LRANGE', KEYS[1], from, left - 1)\n"
    "  for i = #part, 1, -1 do\n"
    "    local floor = string.match(part[i], '^f(%d+)$')\n"
    "    if floor and met < tonumber(ARGV[1]) then return 0 end\n"
    "    if floor then\n"
    "      redis.call('RPUSH', KEYS[1], 'f' .. (greater(floor, most) and floor or most))\n"
    "      return 1\n"
    "    end\n"
    "    local id = string.match(part[i], '^-?(%d+)$')\n"
    "    if not id then return 0 end\n"
    "    if greater(id, most) then most = id end\n"
    "    met = met + 1\n"
    "  end\n"
    "  left = from\n"
    "end\n"
    "return 0\n",
};

int timeline_push_floor(struct fiber *self, struct domain *d, int64_t epoch, int64_t viewer_id) {
    char key_space[KEY_MAX];
    struct str key = key_timeline(key_space, epoch, viewer_id);
    const struct str args[] = {decimal(fiber_arena(self), "", FLOOR_EVERY)};
    const struct redis_reply *reply;
    return redis_eval(self, d->redis, &PUSH_FLOOR, key, args, 1, &reply);
}
