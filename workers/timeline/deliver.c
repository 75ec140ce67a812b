/* Delivering.
 *
 *   1. round_deliver counts the entries of each recipient (in a hash table), and notes the recipient of each
 *      delivery, entry by entry.
 *   2. round_send regroups that by recipient (a counting sort): the counts give each recipient its places, and a walk
 *      over the entries in ascending order fills them in ascending order. It takes linear time, and compares nothing.
 *   3. The commands are written as RESP directly into the batch. Each entry is formatted once; a command is a key and
 *      copies of such texts.
 *   4. Two pieces are under way at a time, so that Redis works on one while the other is built.
 *   5. The replies show which lists have grown beyond LIST_TRIM_AT; these are trimmed. The epoch's fence comes last.
 * Failures:
 *   - Redis is unreachable, or refuses a command (it has no memory left): the round fails as a whole, and is
 *     delivered again.
 *   - a key is there but holds no list: it is deleted, as a timeline may be at any time.
 *   - a command is executed late, or twice: that does no harm (core/domain/timeline/list.h).
 */
#include "workers/timeline/deliver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/domain/timeline/list.h"
#include "core/event/epoch.h"
#include "core/event/keys.h"

/* A piece also ends at this size: a few commands may have many ids. */
#define PIECE_BYTES ((size_t)512 * 1024)
#define PIECES_MAX 2
/* "$19\r\n", 19 digits and "\r\n". The size is fixed, so the compiler makes fast copies. */
#define ELEMENT_MAX 32
/* "*4294967295\r\n$6\r\nRPUSHX\r\n$64\r\n" KEY "\r\n", generously. */
#define COMMAND_MAX (64 + KEY_MAX)
#define TABLE_MIN ((size_t)1024)
#define TABLE_SPARE ((size_t)16)

/* An entry as text in commands. */
struct element {
    uint8_t len;
    char text[ELEMENT_MAX];
};

/* A place of the hash table; id 0 is a free one. */
struct place {
    int64_t id;
    uint32_t slot;  /* the recipient's number, in order of appearance */
    uint32_t count; /* entries for them */
};

/* Commands under way: one for each slot from `first` to `first + n`. */
struct piece {
    struct redis_batch *batch;
    size_t first, n;
};

struct round {
    struct list_node spare;
    struct deliverer *deliverer;
    struct element *elements;
    size_t *element_ends; /* where each entry's part of slot_of ends */
    size_t n_elements, elements_cap;
    uint32_t *slot_of; /* of each delivery, entry by entry */
    size_t n, cap;
    struct place *table;
    size_t table_cap;
    unsigned table_shift;
    int64_t *recipients; /* by slot */
    size_t n_recipients, recipients_cap;
    /* Filled by turn_over. */
    uint32_t *ends;     /* by slot: where its part of entry_of ends; it begins where the one before ends */
    uint32_t *entry_of; /* entries, recipient by recipient */
    size_t ends_cap, entry_of_cap;
    struct piece pieces[PIECES_MAX];
};

struct deliverer {
    struct domain *domain;
    struct list_node spare; /* rounds that were closed, with their memory */
    uint64_t seed;
    struct counter *deliveries, *dropped, *trims;
};

static void *grown(void *v, size_t *cap, size_t need, size_t size) {
    if (need <= *cap) return v;
    size_t want = *cap ? *cap : 1024;
    while (want < need) want *= 2;
    assert(want >= need && want > *cap);
    v = realloc(v, want * size);
    if (!v) abort();
    *cap = want;
    return v;
}

/* ---- life ---- */

struct deliverer *deliverer_new(struct domain *d) {
    struct deliverer *out = calloc(1, sizeof *out);
    if (!out) return NULL;
    struct metrics *m = d->metrics;
    out->domain = d;
    out->seed = random_u64();
    list_init(&out->spare);
    out->deliveries =
        metrics_counter(m, "rookery_deliveries_total", "Entries delivered to home timelines", "");
    out->dropped = metrics_counter(m, "rookery_deliveries_dropped_total",
                                   "Deliveries to home timelines that are not materialized", "");
    out->trims = metrics_counter(m, "rookery_timeline_trims_total", "Home timelines trimmed", "");
    return out;
}

static void round_free(struct round *r) {
    for (size_t i = 0; i < PIECES_MAX; i++) redis_batch_free(r->pieces[i].batch);
    free(r->elements);
    free(r->element_ends);
    free(r->slot_of);
    free(r->table);
    free(r->recipients);
    free(r->ends);
    free(r->entry_of);
    free(r);
}

void deliverer_free(struct deliverer *d) {
    if (!d) return;
    while (!list_empty(&d->spare)) round_free(list_entry(list_pop_front(&d->spare), struct round, spare));
    free(d);
}

struct round *round_open(struct deliverer *d) {
    if (!list_empty(&d->spare)) {
        struct round *old = list_entry(list_pop_front(&d->spare), struct round, spare);
        assert(old->n_elements == 0 && old->n == 0 && old->n_recipients == 0);
        return old;
    }
    struct round *r = calloc(1, sizeof *r);
    if (!r) abort();
    r->deliverer = d;
    list_init(&r->spare);
    return r;
}

/* A table that is far too big for current rounds costs more to clear than to grow again. */
static void empty(struct round *r) {
    if (r->table_cap > TABLE_MIN && r->table_cap > TABLE_SPARE * r->n_recipients) {
        free(r->table);
        r->table = NULL;
        r->table_cap = 0;
    } else if (r->n_recipients > 0) {
        memset(r->table, 0, r->table_cap * sizeof *r->table);
    }
    r->n_elements = r->n = r->n_recipients = 0;
}

void round_close(struct round *r) {
    if (!r) return;
    empty(r);
    list_push_front(&r->deliverer->spare, &r->spare);
}

size_t round_deliveries(const struct round *r) {
    return r->n;
}

/* ---- collecting ---- */

static uint8_t encode(char out[static ELEMENT_MAX], int64_t value) {
    char digits[20];
    size_t n = format_i64(digits, value), at = 0;
    out[at++] = '$';
    if (n >= 10) out[at++] = (char)('0' + n / 10);
    out[at++] = (char)('0' + n % 10);
    out[at++] = '\r';
    out[at++] = '\n';
    memcpy(out + at, digits, n);
    at += n;
    out[at++] = '\r';
    out[at++] = '\n';
    return (uint8_t)at;
}

void round_entry(struct round *r, int64_t entry_id) {
    size_t cap = r->elements_cap;
    r->elements = grown(r->elements, &r->elements_cap, r->n_elements + 1, sizeof *r->elements);
    r->element_ends = grown(r->element_ends, &cap, r->n_elements + 1, sizeof *r->element_ends);
    struct element *e = &r->elements[r->n_elements];
    e->len = encode(e->text, entry_id);
    assert(e->len <= ELEMENT_MAX);
    assert(r->n_elements == 0 || r->element_ends[r->n_elements - 1] == r->n);
    r->element_ends[r->n_elements++] = r->n;
}

/* Returns the place of a recipient, or the free place where it belongs. */
static struct place *find(const struct round *r, int64_t id) {
    uint64_t hash = ((uint64_t)id ^ r->deliverer->seed) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> r->table_shift);
    while (r->table[at].id != id && r->table[at].id != 0) at = (at + 1) & (r->table_cap - 1);
    return &r->table[at];
}

/* At most half full. */
static void widen(struct round *r) {
    struct place *old = r->table;
    size_t old_cap = r->table_cap;
    r->table_cap = old_cap ? 4 * old_cap : TABLE_MIN;
    r->table_shift = 64 - (unsigned)__builtin_ctzll(r->table_cap);
    r->table = calloc(r->table_cap, sizeof *r->table);
    if (!r->table) abort();
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].id != 0) *find(r, old[i].id) = old[i];
    assert(2 * r->n_recipients < r->table_cap);
    free(old);
}

static void add_recipient(struct round *r, struct place *p, int64_t id) {
    r->recipients = grown(r->recipients, &r->recipients_cap, r->n_recipients + 1, sizeof *r->recipients);
    *p = (struct place){.id = id, .slot = (uint32_t)r->n_recipients};
    r->recipients[r->n_recipients++] = id;
}

void round_deliver(struct round *r, const int64_t *recipients, size_t n) {
    assert(r->n_elements > 0);
    r->slot_of = grown(r->slot_of, &r->cap, r->n + n, sizeof *r->slot_of);
    for (size_t i = 0; i < n; i++) {
        if (2 * r->n_recipients >= r->table_cap) widen(r);
        struct place *p = find(r, recipients[i]);
        if (p->id == 0) add_recipient(r, p, recipients[i]);
        p->count++;
        r->slot_of[r->n++] = p->slot;
    }
    r->element_ends[r->n_elements - 1] = r->n;
}

/* Regroups from recipients by entry to entries by recipient. */
static void turn_over(struct round *r) {
    r->ends = grown(r->ends, &r->ends_cap, r->n_recipients, sizeof *r->ends);
    r->entry_of = grown(r->entry_of, &r->entry_of_cap, r->n, sizeof *r->entry_of);
    for (size_t i = 0; i < r->table_cap; i++)
        if (r->table[i].id != 0) r->ends[r->table[i].slot] = r->table[i].count;
    uint32_t begin = 0;
    for (size_t s = 0; s < r->n_recipients; s++) {
        uint32_t count = r->ends[s];
        r->ends[s] = begin; /* the next free place; at the end of the walk, where the part ends */
        begin += count;
    }
    assert(begin == r->n); /* each delivery has one place */
    size_t at = 0;
    for (size_t e = 0; e < r->n_elements; e++)
        for (; at < r->element_ends[e]; at++) r->entry_of[r->ends[r->slot_of[at]]++] = (uint32_t)e;
    assert(at == r->n && (at == 0 || r->ends[r->n_recipients - 1] == at));
}

static size_t begin_of(const struct round *r, size_t slot) {
    return slot == 0 ? 0 : r->ends[slot - 1];
}

/* ---- sending ---- */

/* Copies a literal without its NUL. */
#define PUT(p, literal) (memcpy(p, literal, sizeof(literal) - 1), (p) += sizeof(literal) - 1)

static char *put_command(char *p, int64_t epoch, int64_t recipient, size_t n_elements) {
    char key[KEY_MAX];
    struct str name = key_timeline(key, epoch, recipient);
    *p++ = '*';
    p += format_i64(p, (int64_t)n_elements + 2);
    PUT(p, "\r\n$6\r\nRPUSHX\r\n$");
    p += format_i64(p, (int64_t)name.len);
    PUT(p, "\r\n");
    memcpy(p, name.ptr, name.len);
    p += name.len;
    PUT(p, "\r\n");
    return p;
}

static char *put_elements(char *p, const struct round *r, size_t slot) {
    for (size_t i = begin_of(r, slot); i < r->ends[slot]; i++) {
        const struct element *e = &r->elements[r->entry_of[i]];
        memcpy(p, e->text, ELEMENT_MAX);
        p += e->len;
    }
    return p;
}

/* The commands of the slots from `at` on, as many as make a piece. */
static void build(struct round *r, struct piece *piece, size_t at, int64_t epoch, const struct pace *pace) {
    struct redis_batch *b = piece->batch;
    piece->first = at;
    piece->n = 0;
    redis_batch_integers_only(b);
    for (; at < r->n_recipients && piece->n < pace->commands && redis_batch_bytes(b) < PIECE_BYTES; at++) {
        size_t k = r->ends[at] - begin_of(r, at);
        char *room = redis_batch_room(b, COMMAND_MAX + (k + 1) * ELEMENT_MAX);
        char *end = put_elements(put_command(room, epoch, r->recipients[at], k), r, at);
        assert(k > 0 && (size_t)(end - room) <= COMMAND_MAX + k * ELEMENT_MAX);
        redis_batch_wrote(b, (size_t)(end - room), 1);
        piece->n++;
    }
}

static void add_delete(struct redis_batch *b, struct str key) {
    redis_cmd(b, 2);
    redis_arg(b, STR("DEL"));
    redis_arg(b, key);
}

static void add_trim(struct redis_batch *b, struct str key) {
    redis_cmd(b, 4);
    redis_arg(b, STR("LTRIM"));
    redis_arg(b, key);
    redis_arg_i64(b, -LIST_TRIM_TO);
    redis_arg(b, STR("-1"));
}

/* Returns true when Redis refused a command of this piece because a key does not hold a list. */
static bool is_no_list(const struct piece *piece) {
    struct fault fault;
    return redis_batch_check(piece->batch, &fault) != 0 &&
           str_starts_with(str_from(fault.text), STR("WRONGTYPE"));
}

/* Reads the lengths that came back; trims and deletes go into follow_up. */
static int look_at_replies(const struct round *r, const struct piece *piece, int64_t epoch,
                           struct redis_batch *follow_up) {
    struct deliverer *d = r->deliverer;
    const int64_t *length = redis_batch_integers(piece->batch);
    char key[KEY_MAX];
    assert(piece->first + piece->n <= r->n_recipients);
    for (size_t i = 0; i < piece->n; i++) {
        size_t slot = piece->first + i, k = r->ends[slot] - begin_of(r, slot);
        if (length[i] == INT64_MIN) {
            if (!is_no_list(piece)) return ERR_UNAVAILABLE;
            add_delete(follow_up, key_timeline(key, epoch, r->recipients[slot]));
        }
        if (length[i] <= 0) {
            d->dropped->value += k;
            continue;
        }
        d->deliveries->value += k;
        if (length[i] > LIST_TRIM_AT) {
            add_trim(follow_up, key_timeline(key, epoch, r->recipients[slot]));
            d->trims->value++;
        }
    }
    return 0;
}

static int await(struct fiber *self, const struct round *r, struct piece *piece, int64_t epoch,
                 struct redis_batch *follow_up) {
    int e = redis_await(self, r->deliverer->domain->redis, piece->batch);
    if (e == ERR_DEADLINE_EXCEEDED || e == ERR_CANCELLED) piece->batch = NULL; /* the client has taken it */
    return e == 0 ? look_at_replies(r, piece, epoch, follow_up) : e;
}

static int submit(struct round *r, struct piece *piece, size_t at, int64_t epoch, const struct pace *pace) {
    if (piece->batch)
        redis_batch_reset(piece->batch);
    else
        piece->batch = redis_batch_new();
    build(r, piece, at, epoch, pace);
    return redis_submit(r->deliverer->domain->redis, piece->batch);
}

/* Pieces go out and come back in turn; the oldest under way is pieces[back % PIECES_MAX]. */
static int send_pieces(struct fiber *self, struct round *r, int64_t epoch, const struct pace *pace,
                       struct redis_batch *follow_up) {
    size_t at = 0, out = 0, back = 0;
    int e = 0;
    while ((at < r->n_recipients && e == 0) || back < out) {
        if (e == 0 && at < r->n_recipients && out - back < pace->under_way) {
            struct piece *piece = &r->pieces[out % PIECES_MAX];
            e = submit(r, piece, at, epoch, pace);
            assert(piece->first == at && piece->n > 0);
            at += piece->n;
            out += e == 0;
        } else {
            int failed = await(self, r, &r->pieces[back++ % PIECES_MAX], epoch, follow_up);
            if (e == 0) e = failed;
        }
    }
    assert(back == out && (e != 0 || at == r->n_recipients));
    return e;
}

int round_send(struct fiber *self, struct round *r, int64_t epoch, const struct pace *pace) {
    assert(pace->under_way > 0 && pace->under_way <= PIECES_MAX && pace->commands > 0);
    struct redis_batch *follow_up = redis_batch_new();
    turn_over(r);
    int e = send_pieces(self, r, epoch, pace, follow_up);
    empty(r);
    if (e == 0) return epoch_send(self, r->deliverer->domain, follow_up, epoch);
    redis_batch_free(follow_up);
    return e;
}
