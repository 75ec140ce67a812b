/* Creating posts: the busiest write.
 *
 *   1. The text is searched for tags and mentions; a reply's parent is looked up.
 *   2. The post and its outbox row are committed together with other callers' posts in one statement
 *      (pg_batcher).
 *   3. The event is published and the entry put on the author's own home timeline (P6; announce.c).
 *   4. The answer.
 * Failures:
 *   - 2 refuses no row (conflicts are answers, not errors), so rows of other callers never fail because of one. An
 *     idempotency key that has been used gives the post that has it.
 *   - the outcome of 2 is unknown (connection lost): an error. The client's retry with the same key finds the post,
 *     if it exists, and puts the entry on the author's timeline, since the gateway that wrote it may not have done
 *     so.
 *   - 3 cannot be done: an error, and the retry finds the post.
 */
#include <assert.h>

#include "core/domain/post/create.sql.h"
#include "core/domain/post/post_internal.h"
#include "core/event/outbox.h"
#include "core/text/text.h"

/* What one row of the batch holds. */
struct create_row {
    int64_t id, author_id, reply_to_id, reply_to_account_id, thread_id;
    struct str text, hashtags; /* hashtags separated by blanks; empty: none */
    struct str key;            /* ptr NULL: none */
    struct event_record event;
};

struct create_answer {
    bool inserted;
};

static void build(const void *const *rows, size_t n, struct pg_args *args) {
    struct arena *a = args->arena;
    int64_t *ids = ARENA_ARRAY(a, int64_t, n), *authors = ARENA_ARRAY(a, int64_t, n);
    int64_t *replies = ARENA_ARRAY(a, int64_t, n), *reply_accounts = ARENA_ARRAY(a, int64_t, n);
    int64_t *threads = ARENA_ARRAY(a, int64_t, n);
    int32_t *partitions = ARENA_ARRAY(a, int32_t, n);
    struct str *texts = ARENA_ARRAY(a, struct str, n), *tags = ARENA_ARRAY(a, struct str, n);
    struct str *keys = ARENA_ARRAY(a, struct str, n), *payloads = ARENA_ARRAY(a, struct str, n);
    for (size_t i = 0; i < n; i++) {
        const struct create_row *row = rows[i];
        assert(row->id != 0 && row->event.id == row->id && row->event.payload.len > 0);
        assert(row->reply_to_id != 0 || row->thread_id == row->id);
        ids[i] = row->id;
        authors[i] = row->author_id;
        texts[i] = row->text;
        replies[i] = row->reply_to_id;
        reply_accounts[i] = row->reply_to_account_id;
        threads[i] = row->thread_id;
        tags[i] = row->hashtags;
        keys[i] = row->key;
        partitions[i] = row->event.partition;
        payloads[i] = row->event.payload;
    }
    pg_args_add(args, pg_i64_array(ids, n), pg_i64_array(authors, n), pg_text_array(texts, n),
                pg_i64_array(replies, n), pg_i64_array(reply_accounts, n), pg_i64_array(threads, n),
                pg_text_array(tags, n), pg_text_array(keys, n), pg_i32_array(partitions, n),
                pg_bytes_array(payloads, n));
}

static int take(struct pg_row *row, struct arena *arena, void *out) {
    (void)arena;
    struct create_answer *answer = out;
    answer->inserted = row && pg_take_bool(row);
    return 0;
}

const struct pg_batch_kind POST_CREATE_BATCH = {
    .name = "post_create",
    .stmt = &POST_CREATE,
    .build = build,
    .take = take,
};

/* ---- step 1 -------------------------------------------------------------------------------------------- */

static int find_parent(struct fiber *self, struct domain *d, struct create_row *row, struct fault *fault) {
    if (row->reply_to_id == 0) {
        row->thread_id = row->id;
        return 0;
    }
    struct pg_result *r;
    int e =
        pg_ask(self, d->pg, &POST_FIND_PARENT, &r, fault, pg_i64(row->reply_to_id), pg_i64(row->author_id));
    if (e != 0) return e;
    struct pg_row parent = pg_read(r);
    if (!pg_next(&parent))
        return fault_field(fault, ERR_NOT_FOUND, "reply_to_id", "there is no post with this reply_to_id");
    row->reply_to_account_id = pg_take_i64(&parent);
    row->thread_id = pg_take_i64(&parent);
    pg_end(&parent);
    return 0;
}

static void set_event(struct arena *a, struct create_row *row, const struct post_draft *draft,
                      const struct text_entities *found, int64_t partitions) {
    Rookery__Events__V1__PostCreated created = ROOKERY__EVENTS__V1__POST_CREATED__INIT;
    Event e = ROOKERY__EVENTS__V1__EVENT__INIT;
    created.post_id = row->id;
    created.reply_to_id = row->reply_to_id;
    created.reply_to_account_id = row->reply_to_account_id;
    created.pulled = draft->author_pulled;
    created.n_hashtags = text_unique_tags(a, found, &created.hashtags);
    created.n_mentions = text_unique_handles(a, found, &created.mentions);
    e.id = row->id;
    e.actor_id = row->author_id;
    e.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_CREATED;
    e.post_created = &created;
    row->event = event_encode(a, &e, partitions);
    row->hashtags = post_join_tags(a, created.hashtags, created.n_hashtags);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Finds the post that has the key, if there is one (*found). It is the answer, unless its text was another or it was
 * deleted. */
static int find_by_key(struct fiber *self, struct domain *d, const struct create_row *row, bool *found,
                       struct post *out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_FIND_BY_KEY, &r, fault, pg_i64(row->author_id), pg_text(row->key),
                   pg_text(row->text), pg_i64(row->reply_to_id));
    if (e != 0) return e;
    struct pg_row before = pg_read(r);
    *found = pg_next(&before);
    if (!*found) return 0;
    int64_t id = pg_take_i64(&before);
    bool deleted = pg_take_bool(&before), same = pg_take_bool(&before);
    pg_end(&before);
    if (!same)
        return fault_field(fault, ERR_FAILED_PRECONDITION, "idempotency_key",
                           "this idempotency_key was used for another post");
    if (deleted)
        return fault_field(fault, ERR_NOT_FOUND, "idempotency_key",
                           "the post made with this idempotency_key was deleted");
    e = post_announce(self, d, NULL, row->author_id, id, fault);
    return e != 0 ? e : post_load_one(self, d, id, out, fault);
}

/* The key existed when the row was to be inserted. */
static int answer_again(struct fiber *self, struct domain *d, const struct create_row *row, struct post *out,
                        struct fault *fault) {
    bool found;
    int e = find_by_key(self, d, row, &found, out, fault);
    return e == 0 && !found ? (int)fault_set(fault, ERR_ABORTED, "try again") : e;
}

/* A reply to a post that no longer exists, or may no longer be replied to. A retry of a reply that was made before
 * that gets the same answer as then. why: the error for the missing parent, in *fault. */
static int without_parent(struct fiber *self, struct domain *d, const struct create_row *row, int why,
                          struct post *out, struct fault *fault) {
    bool found = false;
    struct fault own = {0};
    if (why != ERR_NOT_FOUND || !row->key.ptr) return why;
    int e = find_by_key(self, d, row, &found, out, &own);
    if (!found) return why;
    *fault = own;
    return e;
}

static void describe(const struct create_row *row, struct post *out) {
    *out = (struct post){
        .entry = {.id = row->id,
                  .author_id = row->author_id,
                  .reply_to_account_id = row->reply_to_account_id},
        .text = row->text,
        .reply_to_id = row->reply_to_id,
        .thread_id = row->thread_id,
    };
}

int post_create(struct fiber *self, struct domain *d, const struct post_draft *draft, struct post *out,
                struct fault *fault) {
    assert(draft->author_id != 0);
    struct arena *a = fiber_arena(self);
    struct create_row row = {
        .author_id = draft->author_id, .text = draft->text, .reply_to_id = draft->reply_to_id};
    if (draft->idempotency_key.len > 0) row.key = draft->idempotency_key;
    int e = domain_next_id(d, &row.id, fault);
    if (e != 0) return e;
    e = find_parent(self, d, &row, fault);
    if (e != 0) return without_parent(self, d, &row, e, out, fault);
    struct text_entities found;
    text_parse_entities(a, row.text, &found);
    set_event(a, &row, draft, &found, d->config->partitions);

    struct create_answer answer;
    e = pg_batcher_submit(self, d->create_posts, &row, &answer, fault);
    if (e != 0) return e;
    if (!answer.inserted) return answer_again(self, d, &row, out, fault);
    describe(&row, out);
    return post_announce(self, d, &row.event, row.author_id, row.id, fault);
}
