/* Posts: reading, editing, deleting. Creating is in create.c, likes and reposts in engage.c. */
#include "core/domain/post/post.h"

#include <assert.h>

#include "core/domain/post/post.sql.h"
#include "core/domain/post/post_internal.h"
#include "core/text/text.h"

/* ---- loading ------------------------------------------------------------------------------------------- */

static void read_post(struct pg_row *row, struct post *out) {
    out->entry.id = pg_take_i64(row);
    out->entry.author_id = pg_take_i64(row);
    out->entry.reply_to_account_id = pg_take_i64(row);
    out->entry.repost_of_id = pg_take_i64(row);
    out->entry.original_author_id = pg_take_i64(row);
    out->text = pg_take_str(row);
    out->reply_to_id = pg_take_i64(row);
    out->thread_id = pg_take_i64(row);
    out->edited_ms = pg_take_time_ms(row);
    out->edit_count = pg_take_i32(row);
    out->deleted = pg_take_bool(row);
    out->likes = pg_take_i64(row);
    out->reposts = pg_take_i64(row);
    out->replies = pg_take_i64(row);
}

int post_load(struct fiber *self, struct domain *d, const int64_t *ids, size_t n, struct post **out,
              size_t *n_out, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_LOAD, &r, fault, pg_i64_array(ids, n));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct post, (size_t)pg_rows(r));
    for (*n_out = 0; pg_next(&row); ++*n_out) read_post(&row, &(*out)[*n_out]);
    assert(*n_out <= n);
    return 0;
}

int post_load_one(struct fiber *self, struct domain *d, int64_t id, struct post *out, struct fault *fault) {
    struct post *found;
    size_t n;
    int e = post_load(self, d, &id, 1, &found, &n, fault);
    if (e != 0) return e;
    if (n == 0 || found[0].deleted || found[0].entry.repost_of_id != 0)
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    *out = found[0];
    return 0;
}

/* ---- lists of ids -------------------------------------------------------------------------------------- */

/* Runs a statement whose only column is an id. */
static int id_list(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, int64_t of,
                   int64_t position, int limit, int64_t **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, stmt, &r, fault, pg_i64(of), pg_i64(position), pg_i64(limit));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), int64_t, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) (*out)[*n] = pg_take_i64(&row);
    assert(*n <= (size_t)limit);
    return 0;
}

int post_list_places(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, int64_t owner_id,
                     int64_t from, int limit, struct post_place **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, stmt, &r, fault, pg_i64(owner_id), pg_i64(from), pg_i64(limit));
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    assert(*n <= (size_t)limit);
    struct post_place *place = *out = ARENA_ARRAY(fiber_arena(self), struct post_place, *n);
    for (struct pg_row row = pg_read(r); pg_next(&row); place++) {
        place->post_id = pg_take_i64(&row);
        place->place = pg_take_i64(&row);
    }
    return 0;
}

int post_replies(struct fiber *self, struct domain *d, int64_t post_id, int64_t after, int limit,
                 struct post_place **out, size_t *n, struct fault *fault) {
    return post_list_places(self, d, &POST_REPLIES, post_id, after, limit, out, n, fault);
}

int post_ancestors(struct fiber *self, struct domain *d, int64_t post_id, int limit, int64_t **out, size_t *n,
                   struct fault *fault) {
    return id_list(self, d, &POST_ANCESTORS, post_id, 0, limit, out, n, fault);
}

int post_below(struct fiber *self, struct domain *d, const int64_t *ids, size_t n_ids,
               const struct ids *hidden, int64_t **out, size_t *n, struct fault *fault) {
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_BELOW, &r, fault, pg_i64_array(ids, n_ids),
                   pg_i64_array(hidden->v, hidden->len), pg_i64(POST_BELOW_MAX));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), int64_t, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) (*out)[*n] = pg_take_i64(&row);
    assert(*n <= n_ids);
    return 0;
}

int post_by_author(struct fiber *self, struct domain *d, int64_t author_id, int64_t before, int limit,
                   int64_t **out, size_t *n, struct fault *fault) {
    int e = id_list(self, d, &POST_BY_AUTHOR, author_id, before, limit, out, n, fault);
    assert(e != 0 || *n == 0 || ((*out)[0] < before && (*out)[*n - 1] <= (*out)[0]));
    return e;
}

int post_edits(struct fiber *self, struct domain *d, int64_t post_id, int32_t before, int limit,
               struct post_edit_row **out, size_t *n, struct fault *fault) {
    assert(limit > 0);
    struct pg_result *r;
    int e = pg_ask(self, d->pg, &POST_EDITS, &r, fault, pg_i64(post_id), pg_i64(before), pg_i64(limit));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct post_edit_row, (size_t)pg_rows(r));
    for (*n = 0; pg_next(&row); ++*n) {
        struct post_edit_row *edit = &(*out)[*n];
        edit->edit = pg_take_i32(&row);
        edit->text = pg_take_str(&row);
        edit->edited_ms = pg_take_time_ms(&row);
    }
    assert(*n <= (size_t)limit);
    return 0;
}

/* ---- editing and deleting ------------------------------------------------------------------------------ */

int post_publish_or_fail(struct fiber *self, struct domain *d, Event *event, bool changed,
                         struct fault *fault) {
    event->repeat = !changed;
    struct event_record record = event_encode(fiber_arena(self), event, d->config->partitions);
    if (outbox_publish_heard(self, d, &record) == 0) return 0;
    return fault_set(fault, ERR_UNAVAILABLE,
                     "the change is stored but not yet visible everywhere: try again");
}

static struct str joined_tags(struct arena *a, struct str text) {
    struct text_entities found;
    text_parse_entities(a, text, &found);
    char **tags;
    size_t n = text_unique_tags(a, &found, &tags);
    return post_join_tags(a, tags, n);
}

int post_edit(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct str text,
              struct post *out, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    Rookery__Events__V1__PostEdited edited = ROOKERY__EVENTS__V1__POST_EDITED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    int e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    edited.post_id = post_id;
    event.actor_id = actor;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_EDITED;
    event.post_edited = &edited;
    struct event_record record = event_encode(a, &event, d->config->partitions);

    struct pg_result *r;
    e = pg_ask(self, d->pg, &POST_EDIT, &r, fault, pg_i64(post_id), pg_i64(actor), OUTBOX_ROW(&record),
               pg_text(text), pg_text(joined_tags(a, text)));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row))
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    bool own = pg_take_bool(&row), changed = pg_take_bool(&row);
    pg_end(&row);
    if (!own) return fault_set(fault, ERR_PERMISSION_DENIED, "only its author can edit a post");
    e = post_publish_or_fail(self, d, &event, changed, fault);
    return e != 0 ? e : post_load_one(self, d, post_id, out, fault);
}

int post_delete(struct fiber *self, struct domain *d, int64_t actor, int64_t post_id, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    struct post *found;
    size_t n;
    int e = post_load(self, d, &post_id, 1, &found, &n, fault);
    if (e != 0) return e;
    if (n == 0 || found[0].entry.repost_of_id != 0)
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");

    Rookery__Events__V1__PostDeleted deleted = ROOKERY__EVENTS__V1__POST_DELETED__INIT;
    Event event = ROOKERY__EVENTS__V1__EVENT__INIT;
    e = domain_next_id(d, &event.id, fault);
    if (e != 0) return e;
    deleted.post_id = post_id;
    deleted.reply_to_id = found[0].reply_to_id;
    event.actor_id = actor;
    event.what_case = ROOKERY__EVENTS__V1__EVENT__WHAT_POST_DELETED;
    event.post_deleted = &deleted;
    struct event_record record = event_encode(a, &event, d->config->partitions);

    struct pg_result *r;
    e = pg_ask(self, d->pg, &POST_DELETE, &r, fault, pg_i64(post_id), pg_i64(actor), OUTBOX_ROW(&record));
    if (e != 0) return e;
    struct pg_row row = pg_read(r);
    if (!pg_next(&row))
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    bool own = pg_take_bool(&row), changed = pg_take_bool(&row);
    pg_end(&row);
    if (!own) return fault_set(fault, ERR_PERMISSION_DENIED, "only its author can delete a post");
    return post_publish_or_fail(self, d, &event, changed, fault);
}
