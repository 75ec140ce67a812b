/* Fan-out.
 *
 * A batch of events, on the happy path:
 *   1. One query brings the follower versions of every author (and of everybody replied to). Lists whose
 * cached version differs are loaded. The query runs after the events were read, so after their posts'
 * commits: a list is never older than the post.
 *   2. For each recipient the entries of the whole batch are collected: one RPUSHX each, with several ids.
 * Recipients of a post: the author's followers and the author; of a reply to somebody else: only those who
 * also follow the one replied to, that one, and the author. Readers filter again; this only saves deliveries.
 *   3. RPUSHX in pipelined batches. A list that has grown past LIST_TRIM_AT is trimmed.
 *   4. Changes of relations: tokens move and timelines are deleted once more, in case the gateway died before
 * it did. Failures:
 *   - Redis or PostgreSQL is away: a retryable error; the runtime brings the same batch again. Readers drop
 * duplicates.
 *   - the epoch changed while the deliveries were under way: the same, since they may have gone to a server
 * that is no more.
 *   - a delivery that was sent as prompt was answered too late to be one: its list is deleted, and rebuilt
 * when read (core/domain/timeline_list.h says why).
 */
#include "workers/fanout.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/map.h"
#include "core/domain/epoch.h"
#include "core/domain/keys.h"
#include "core/domain/timeline_list.h"
#include "core/domain/tokens.h"

/* Follower ids kept in all: 256 MiB. */
#define CACHED_IDS_MAX (32 * 1024 * 1024)
/* Commands in one Redis batch: enough to make a round trip cheap, small enough to leave others their turn. */
#define COMMANDS_PER_SEND 8192

struct follower_list {
    struct list_node used;
    int64_t account_id, version;
    struct ids followers; /* ascending */
    uint64_t touched;     /* the batch that used it last: such a list is not let go */
};

struct fanout {
    struct worker *worker;
    struct idmap lists;
    struct list_node used; /* most recent last */
    size_t cached_ids;
    uint64_t batch;
    struct counter *deliveries, *dropped, *trims, *list_loads;
};

struct fanout *fanout_new(struct worker *w) {
    struct fanout *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->worker = w;
    idmap_init(&f->lists);
    list_init(&f->used);
    struct metrics *m = w->domain.metrics;
    f->deliveries = metrics_counter(m, "rookery_deliveries_total", "Entries put on home timelines", "");
    f->dropped =
        metrics_counter(m, "rookery_deliveries_dropped_total", "Entries for timelines that are not kept", "");
    f->trims = metrics_counter(m, "rookery_timeline_trims_total", "Home timelines cut to length", "");
    f->list_loads =
        metrics_counter(m, "rookery_follower_list_loads_total", "Follower lists loaded from SQL", "");
    return f;
}

static void let_go(struct fanout *f, struct follower_list *l) {
    idmap_remove(&f->lists, l->account_id);
    list_remove(&l->used);
    f->cached_ids -= l->followers.len;
    ids_free(&l->followers);
    free(l);
}

void fanout_free(struct fanout *f) {
    if (!f) return;
    while (!list_empty(&f->used)) let_go(f, list_entry(f->used.next, struct follower_list, used));
    idmap_free(&f->lists);
    free(f);
}

/* ---- follower lists
 * -------------------------------------------------------------------------------------------------- */

static const struct pg_stmt VERSIONS = {
    .name = "fanout_versions",
    .sql = "SELECT account_id, follower_version FROM account_stats WHERE account_id = ANY($1)",
    .read_only = true,
};

/* Version and list in one snapshot. */
static const struct pg_stmt FOLLOWERS = {
    .name = "fanout_followers",
    .sql =
        "SELECT s.account_id, s.follower_version,"
        "       ARRAY(SELECT follower_id FROM follows WHERE followee_id = s.account_id ORDER BY follower_id)"
        " FROM account_stats s WHERE s.account_id = ANY($1)",
    .read_only = true,
};

static struct follower_list *list_of(struct fanout *f, int64_t account_id) {
    struct follower_list *l = idmap_get(&f->lists, account_id);
    if (!l) {
        l = calloc(1, sizeof *l);
        if (!l) abort();
        l->account_id = account_id;
        l->version = -1;
        ids_init(&l->followers);
        list_init(&l->used);
        idmap_put(&f->lists, account_id, l);
    }
    list_remove(&l->used);
    list_push_back(&f->used, &l->used);
    l->touched = f->batch;
    return l;
}

static void shrink(struct fanout *f) {
    while (f->cached_ids > CACHED_IDS_MAX) {
        struct follower_list *oldest = list_entry(f->used.next, struct follower_list, used);
        if (oldest->touched == f->batch) return;
        let_go(f, oldest);
    }
}

static void store_list(struct fanout *f, const struct pg_result *r, int row, struct arena *a) {
    struct follower_list *l = list_of(f, pg_get_i64(r, row, 0));
    int64_t *v;
    size_t n = pg_get_i64_array(r, row, 2, a, &v);
    f->cached_ids -= l->followers.len;
    l->followers.len = 0;
    ids_reserve(&l->followers, n);
    for (size_t i = 0; i < n; i++) ids_push(&l->followers, v[i]);
    l->version = pg_get_i64(r, row, 1);
    f->cached_ids += n;
    f->list_loads->value++;
}

static int load_lists(struct fiber *self, struct fanout *f, const int64_t *ids, size_t n,
                      struct fault *fault) {
    struct pg_args args;
    struct arena *a = fiber_arena(self);
    pg_args_init(&args, a);
    pg_i64_array(&args, ids, n);
    struct pg_result *r;
    int e = pg_exec(self, f->worker->domain.pg, &FOLLOWERS, &args, &r, fault);
    for (int row = 0; e == 0 && row < pg_rows(r); row++) store_list(f, r, row, a);
    return e;
}

/* Makes sure that the lists of these accounts are as new as the database is now. */
static int refresh_lists(struct fiber *self, struct fanout *f, const struct ids *accounts,
                         struct fault *fault) {
    struct pg_args args;
    struct arena *a = fiber_arena(self);
    pg_args_init(&args, a);
    pg_i64_array(&args, accounts->v, accounts->len);
    struct pg_result *r;
    int e = pg_exec(self, f->worker->domain.pg, &VERSIONS, &args, &r, fault);
    if (e != 0) return e;
    int64_t *stale = ARENA_ARRAY(a, int64_t, accounts->len);
    size_t n_stale = 0;
    for (int row = 0; row < pg_rows(r); row++) {
        struct follower_list *l = list_of(f, pg_get_i64(r, row, 0));
        if (l->version != pg_get_i64(r, row, 1)) stale[n_stale++] = l->account_id;
    }
    shrink(f);
    return n_stale == 0 ? 0 : load_lists(self, f, stale, n_stale, fault);
}

/* ---- recipients
 * ------------------------------------------------------------------------------------------------------ */

/* Who gets what: a list of (recipient, element) that is grouped by recipient when it is sent. */
struct delivery {
    int64_t recipient, element;
};

struct deliveries {
    struct delivery *v;
    size_t n, cap;
};

static void deliver(struct deliveries *d, int64_t recipient, int64_t element) {
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 4096;
        d->v = realloc(d->v, d->cap * sizeof *d->v);
        if (!d->v) abort();
    }
    d->v[d->n++] = (struct delivery){recipient, element};
}

/* False when a list it needs is not there: another lane's batch had it let go meanwhile. */
static bool deliver_post(struct fanout *f, const Event *e, int64_t wall_ms, struct deliveries *out) {
    const Rookery__Events__V1__PostCreated *p = e->post_created;
    int64_t element = timeline_is_prompt(p->post_id, wall_ms) ? p->post_id : -p->post_id;
    const struct follower_list *followers = list_of(f, e->actor_id);
    bool to_other = p->reply_to_account_id != 0 && p->reply_to_account_id != e->actor_id;
    const struct follower_list *others = to_other ? list_of(f, p->reply_to_account_id) : NULL;
    if (followers->version < 0 || (others && others->version < 0)) return false;
    deliver(out, e->actor_id, element);
    if (p->pulled) return true;
    for (size_t i = 0; i < followers->followers.len; i++) {
        int64_t id = followers->followers.v[i];
        bool hears = !others || id == p->reply_to_account_id ||
                     ids_contains(others->followers.v, others->followers.len, id);
        if (hears) deliver(out, id, element);
    }
    return true;
}

/* By recipient, and for one recipient in order of entries (late elements are negative). */
static int by_recipient(const void *a, const void *b) {
    const struct delivery *x = a, *y = b;
    if (x->recipient != y->recipient) return x->recipient < y->recipient ? -1 : 1;
    return (llabs(x->element) > llabs(y->element)) - (llabs(x->element) < llabs(y->element));
}

/* ---- sending
 * ---------------------------------------------------------------------------------------------------------
 */

/* A run of deliveries in one Redis batch: command i is for run[start[i]] and what follows for the same
 * recipient. */
struct sending {
    struct redis_batch *batch;
    const struct delivery *run;
    size_t n, *start, n_commands;
};

static size_t same_recipient(const struct delivery *v, size_t n) {
    size_t k = 1;
    while (k < n && v[k].recipient == v[0].recipient) k++;
    return k;
}

static void build(struct sending *s, int64_t epoch, const struct delivery *v, size_t n, struct arena *a) {
    char key[KEY_MAX];
    *s = (struct sending){.batch = redis_batch_new(), .run = v};
    s->start = ARENA_ARRAY(a, size_t, COMMANDS_PER_SEND);
    redis_batch_integers_only(s->batch);
    while (s->n < n && s->n_commands < COMMANDS_PER_SEND) {
        size_t k = same_recipient(v + s->n, n - s->n);
        s->start[s->n_commands++] = s->n;
        redis_cmd(s->batch, 2 + (int)k);
        redis_arg(s->batch, STR("RPUSHX"));
        redis_arg(s->batch, key_timeline(key, epoch, v[s->n].recipient));
        for (size_t i = 0; i < k; i++) redis_arg_i64(s->batch, v[s->n + i].element);
        s->n += k;
    }
}

static void add_key_command(struct redis_batch *b, const char *name, struct str key, int argc) {
    redis_cmd(b, argc);
    redis_arg_cstr(b, name);
    redis_arg(b, key);
}

/* Was an element sent as prompt that is not one any more? */
static bool overdue(const struct sending *s, size_t command, int64_t wall_ms) {
    size_t end = command + 1 < s->n_commands ? s->start[command + 1] : s->n;
    for (size_t i = s->start[command]; i < end; i++) {
        int64_t element = s->run[i].element;
        if (element > 0 && wall_ms - snowflake_time_ms(element) > PROMPT_MS - PROMPT_SLACK_MS) return true;
    }
    return false;
}

/* Reads the lengths that came back; trims and deletes go into follow_up. An error reply fails the batch. */
static int look_at_replies(struct fanout *f, const struct sending *s, int64_t epoch,
                           struct redis_batch *follow_up) {
    const int64_t *length = redis_batch_integers(s->batch);
    int64_t now = clock_wall_ms();
    char key[KEY_MAX];
    for (size_t i = 0; i < s->n_commands; i++) {
        struct str name = key_timeline(key, epoch, s->run[s->start[i]].recipient);
        size_t k = (i + 1 < s->n_commands ? s->start[i + 1] : s->n) - s->start[i];
        if (length[i] == INT64_MIN) return ERR_UNAVAILABLE;
        if (length[i] == 0) {
            f->dropped->value += k;
            continue;
        }
        f->deliveries->value += k;
        if (overdue(s, i, now)) {
            add_key_command(follow_up, "DEL", name, 2);
        } else if (length[i] > LIST_TRIM_AT) {
            add_key_command(follow_up, "LTRIM", name, 4);
            redis_arg_i64(follow_up, -LIST_TRIM_TO);
            redis_arg(follow_up, STR("-1"));
            f->trims->value++;
        }
    }
    return 0;
}

static int await(struct fiber *self, struct fanout *f, struct sending *s, int64_t epoch,
                 struct redis_batch *follow_up) {
    int e = redis_await(self, f->worker->domain.redis, s->batch);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) return e;
    if (e == 0) e = look_at_replies(f, s, epoch, follow_up);
    redis_batch_free(s->batch);
    return e;
}

/* Two batches are under way at a time, so that Redis works on one while the other is built. */
static int send_all(struct fiber *self, struct fanout *f, const struct deliveries *d, int64_t epoch) {
    struct redis *redis = f->worker->domain.redis;
    struct redis_batch *follow_up = redis_batch_new();
    struct sending under_way[2];
    size_t n_under_way = 0, at = 0;
    int e = 0;
    while ((at < d->n && e == 0) || n_under_way > 0) {
        if (e == 0 && at < d->n && n_under_way < 2) {
            struct sending *s = &under_way[n_under_way];
            build(s, epoch, d->v + at, d->n - at, fiber_arena(self));
            at += s->n;
            e = redis_submit(redis, s->batch);
            if (e == 0)
                n_under_way++;
            else
                redis_batch_free(s->batch);
            continue;
        }
        int failed = await(self, f, &under_way[0], epoch, follow_up);
        if (e == 0) e = failed;
        under_way[0] = under_way[1];
        n_under_way--;
    }
    if (e == 0 && redis_batch_commands(follow_up) > 0)
        return domain_send(self, &f->worker->domain, follow_up);
    redis_batch_free(follow_up);
    return e;
}

/* ---- the role
 * -------------------------------------------------------------------------------------------------------- */

static void note_accounts(const struct batch *b, struct ids *out) {
    for (size_t i = 0; i < b->n; i++) {
        const Event *e = b->items[i].event;
        if (e->what_case != ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED) continue;
        ids_push(out, e->actor_id);
        if (e->post_created->reply_to_account_id != 0) ids_push(out, e->post_created->reply_to_account_id);
    }
    ids_sort_unique(out);
}

static int deliver_posts(struct fiber *self, struct fanout *f, const struct batch *b, int64_t epoch,
                         struct fault *fault) {
    struct ids accounts;
    ids_init(&accounts);
    note_accounts(b, &accounts);
    int e = accounts.len > 0 ? refresh_lists(self, f, &accounts, fault) : 0;
    struct deliveries d = {0};
    int64_t now = clock_wall_ms();
    for (size_t i = 0; i < b->n && e == 0; i++)
        if (b->items[i].event->what_case == ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED)
            e = deliver_post(f, b->items[i].event, now, &d) ? 0 : ERR_ABORTED;
    if (d.n > 0) qsort(d.v, d.n, sizeof *d.v, by_recipient);
    if (e == 0) e = send_all(self, f, &d, epoch);
    free(d.v);
    ids_free(&accounts);
    return e;
}

/* Whose tokens move and whose timelines are rebuilt: as core/domain/graph.c does it. */
static void note_relation(const Event *e, struct ids *accounts, struct ids *rebuild) {
    int64_t actor = e->actor_id, target = e->followed->target_id;
    switch (e->what_case) {
    case ROOKERY__EVENTS__V1__EVENT__WHAT_UNBLOCKED:
        ids_push(rebuild, target);
        ids_push(accounts, target);
        ids_push(rebuild, actor);
        break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_FOLLOWED:
    case ROOKERY__EVENTS__V1__EVENT__WHAT_UNMUTED: ids_push(rebuild, actor); break;
    case ROOKERY__EVENTS__V1__EVENT__WHAT_BLOCKED: ids_push(accounts, target); break;
    default: break;
    }
    ids_push(accounts, actor);
}

static bool is_relation(const Event *e) {
    return e->what_case >= ROOKERY__EVENTS__V1__EVENT__WHAT_FOLLOWED &&
           e->what_case <= ROOKERY__EVENTS__V1__EVENT__WHAT_UNMUTED;
}

static int repeat_relations(struct fiber *self, struct fanout *f, const struct batch *b) {
    struct ids accounts, rebuild;
    ids_init(&accounts);
    ids_init(&rebuild);
    for (size_t i = 0; i < b->n; i++)
        if (is_relation(b->items[i].event)) note_relation(b->items[i].event, &accounts, &rebuild);
    ids_sort_unique(&accounts);
    ids_sort_unique(&rebuild);
    int e = accounts.len == 0 ? 0
                              : tokens_relations_changed(self, &f->worker->domain, accounts.v, accounts.len,
                                                         rebuild.v, rebuild.len);
    ids_free(&accounts);
    ids_free(&rebuild);
    return e;
}

/* Lanes of several partitions run at once and share the lists: a list is used only between two suspensions,
 * right after it was looked up; one that is gone by then has the batch tried again. */
static int handle(struct fiber *self, struct worker *w, const struct batch *b, struct fault *fault) {
    struct fanout *f = w->fanout;
    int64_t epoch;
    f->batch++;
    int e = epoch_wait(self, &w->domain, &epoch);
    if (e == 0) e = repeat_relations(self, f, b);
    if (e == 0) e = deliver_posts(self, f, b, epoch, fault);
    return e == 0 && epoch_now(&w->domain) != epoch ? ERR_ABORTED : e;
}

const struct role FANOUT_ROLE = {
    .name = "fanout", .stream = &EVENT_STREAM, .handle = handle, .feeds_timelines = true};
