/* The materialised home timeline; the format, the lemma and the rebuild's story are in timeline_list.h. */
#include "core/domain/timeline_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/domain/epoch.h"
#include "core/domain/keys.h"

bool timeline_is_prompt(int64_t entry_id, int64_t wall_ms) {
    return timeline_is_prompt_at(snowflake_time_ms(entry_id), wall_ms);
}

bool timeline_is_prompt_at(int64_t made_ms, int64_t wall_ms) {
    return wall_ms - made_ms < PROMPT_MS - 2 * PROMPT_SLACK_MS;
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

/* The smallest id that a delivery executed before this prompt one cannot have. */
static int64_t bound_of(int64_t prompt_id) {
    return snowflake_floor(snowflake_time_ms(prompt_id) + PROMPT_MS + 1) - 1;
}

struct parsing {
    struct timeline_part *part;
    bool strange; /* an element that is nothing we know */
};

static void parse_head(struct parsing *p, struct str s) {
    struct str number = {s.ptr + 1, s.len - 1};
    int64_t value;
    if (s.ptr[0] == 'f' && str_to_i64(number, &value)) {
        p->part->head = HEAD_FLOOR;
        p->part->bound = value;
    } else if (s.ptr[0] == 'b' && str_to_i64(str_cut(&number, ':'), &value)) {
        p->part->head = HEAD_BUILDING;
        p->part->building_since_ms = value;
    } else {
        p->strange = true;
    }
}

static void parse_entry(struct parsing *p, int64_t value) {
    struct timeline_part *part = p->part;
    part->ids[part->n++] = value < 0 ? -value : value;
    if (value <= 0 || part->head == HEAD_FLOOR) return;
    int64_t bound = bound_of(value);
    if (bound < part->bound) part->bound = bound;
}

static int descending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Nearly sorted input is the rule (deliveries come in time order): one backward pass finds out, and sorting
 * is for the rest. */
static void sort_unique_descending(int64_t *v, size_t *n) {
    for (size_t i = 0; i < *n / 2; i++) {
        int64_t swapped = v[i];
        v[i] = v[*n - 1 - i];
        v[*n - 1 - i] = swapped;
    }
    bool sorted = true;
    for (size_t i = 1; i < *n && sorted; i++) sorted = v[i - 1] > v[i];
    if (sorted) return;
    qsort(v, *n, sizeof *v, descending);
    size_t kept = *n > 0;
    for (size_t i = 1; i < *n; i++)
        if (v[i] != v[kept - 1]) v[kept++] = v[i];
    *n = kept;
}

void timeline_parse(const struct redis_reply *range, size_t asked, bool whole, struct arena *a,
                    struct timeline_part *out) {
    *out = (struct timeline_part){.bound = INT64_MAX};
    struct parsing p = {.part = out};
    bool reaches_head = whole || range->elements < asked;
    out->head = reaches_head ? HEAD_TRIMMED : HEAD_UNSEEN;
    out->ids = ARENA_ARRAY(a, int64_t, range->elements);
    for (size_t i = 0; i < range->elements; i++) {
        struct str s = range->element[i].str;
        int64_t value;
        if (str_to_i64(s, &value))
            parse_entry(&p, value);
        else if (i == 0 && reaches_head && s.len > 1)
            parse_head(&p, s);
        else if (i != 0 || s.len == 0 || (s.ptr[0] != 'f' && s.ptr[0] != 'b'))
            p.strange = true;
    }
    if (p.strange) out->bound = INT64_MAX;
    sort_unique_descending(out->ids, &out->n);
}

/* ---- rebuilding ---------------------------------------------------------------------------------------- */

/* ARGV: our building mark, wall ms before which another's mark is stale, TTL. 1 when the list is now ours to
 * build. */
static const struct redis_script CLAIM = {
    .name = "timeline_claim",
    .body = "local head = redis.call('LINDEX', KEYS[1], 0)\n"
            "if not head then\n"
            "  redis.call('RPUSH', KEYS[1], ARGV[1])\n"
            "  redis.call('EXPIRE', KEYS[1], ARGV[3])\n"
            "  return 1\n"
            "end\n"
            "local since = string.match(head, '^b(%d+):')\n"
            "if since and tonumber(since) < tonumber(ARGV[2]) then\n"
            "  redis.call('LSET', KEYS[1], 0, ARGV[1])\n"
            "  return 1\n"
            "end\n"
            "return 0\n",
};

/* ARGV: our building mark, the floor element, TTL, then ids newest first. 1 when the list was ours and is now
 * built. */
static const struct redis_script FILL = {
    .name = "timeline_fill",
    .body = "if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return 0 end\n"
            "redis.call('LPOP', KEYS[1])\n"
            "for i = 4, #ARGV, 500 do\n"
            "  redis.call('LPUSH', KEYS[1], unpack(ARGV, i, math.min(i + 499, #ARGV)))\n"
            "end\n"
            "redis.call('LPUSH', KEYS[1], ARGV[2])\n"
            "redis.call('EXPIRE', KEYS[1], ARGV[3])\n"
            "return 1\n",
};

static int run(struct fiber *self, struct domain *d, const struct redis_script *script, struct str key,
               const struct str *args, size_t n, bool *done) {
    const struct redis_reply *reply;
    int e = redis_eval(self, d->redis, script, key, args, n, &reply);
    *done = e == 0 && reply->type == REDIS_INTEGER && reply->integer == 1;
    return e;
}

static struct str decimal(struct arena *a, const char *prefix, int64_t v) {
    return str_from(arena_printf(a, "%s%" PRId64, prefix, v));
}

static int fill(struct fiber *self, struct domain *d, struct str key, struct str mark,
                const struct entry *entries, size_t n, bool *written) {
    struct arena *a = fiber_arena(self);
    struct str *args = ARENA_ARRAY(a, struct str, n + 3);
    args[0] = mark;
    args[1] = decimal(a, "f", n < HOME_LENGTH ? 0 : entries[n - 1].id - 1);
    args[2] = decimal(a, "", d->config->timeline_ttl_s);
    for (size_t i = 0; i < n; i++) args[3 + i] = decimal(a, "", entries[i].id);
    return run(self, d, &FILL, key, args, n + 3, written);
}

int timeline_rebuild(struct fiber *self, struct domain *d, int64_t epoch, const struct relations *r,
                     struct entry **entries, size_t *n, bool *written, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    char key_space[KEY_MAX];
    struct str key = key_timeline(key_space, epoch, r->viewer_id);
    int64_t now = clock_wall_ms();
    struct str mark = str_from(arena_printf(a, "b%" PRId64 ":%016" PRIx64, now, random_u64()));
    const struct str claim[] = {mark, decimal(a, "", now - BUILD_STALE_MS),
                                decimal(a, "", d->config->timeline_ttl_s)};
    bool claimed = false;
    *written = false;
    /* Redis trouble only means that nothing is kept: the page comes from SQL all the same. */
    if (run(self, d, &CLAIM, key, claim, 3, &claimed) != 0) claimed = false;
    int e = home_from_sql(self, d, r, INT64_MAX, 0, HOME_LENGTH, entries, n, fault);
    if (e != 0 || !claimed) return e;
    fill(self, d, key, mark, *entries, *n, written);
    return 0;
}
