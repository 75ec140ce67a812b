/* Posts: reading, editing, deleting. Creating is in create.c, likes and reposts in engage.c. */
#include "core/domain/post/post.h"

#include "core/domain/post/post.sql.h"
#include "core/domain/post/post_internal.h"
#include "core/text/text.h"

/* ---- loading ------------------------------------------------------------------------------------------- */

static void read_post(const struct pg_result *r, int row, struct post *out) {
    *out = (struct post){
        .entry = {.id = pg_get_i64(r, row, 0),
                  .author_id = pg_get_i64(r, row, 1),
                  .reply_to_account_id = pg_get_i64(r, row, 2),
                  .repost_of_id = pg_get_i64(r, row, 3),
                  .original_author_id = pg_get_i64(r, row, 4)},
        .text = pg_get_str(r, row, 5),
        .reply_to_id = pg_get_i64(r, row, 6),
        .thread_id = pg_get_i64(r, row, 7),
        .edited_ms = pg_is_null(r, row, 8) ? 0 : pg_get_time_ms(r, row, 8),
        .edit_count = (int32_t)pg_get_i64(r, row, 9),
        .deleted = pg_get_bool(r, row, 10),
        .likes = pg_get_i64(r, row, 11),
        .reposts = pg_get_i64(r, row, 12),
        .replies = pg_get_i64(r, row, 13),
    };
}

int post_load(struct fiber *self, struct domain *d, const int64_t *ids, size_t n, struct post **out,
              size_t *n_out, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64_array(&args, ids, n);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_LOAD, &args, &r, fault);
    if (e != 0) return e;
    *n_out = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct post, *n_out);
    for (int i = 0; i < pg_rows(r); i++) read_post(r, i, &(*out)[i]);
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

/* Runs a statement whose first column is an id. */
static int id_list(struct fiber *self, struct domain *d, const struct pg_stmt *stmt, int64_t of,
                   int64_t position, int limit, int64_t **out, size_t *n, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, of);
    pg_i64(&args, position);
    pg_i64(&args, limit);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, stmt, &args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), int64_t, *n);
    for (int i = 0; i < pg_rows(r); i++) (*out)[i] = pg_get_i64(r, i, 0);
    return 0;
}

int post_replies(struct fiber *self, struct domain *d, int64_t post_id, int64_t after, int limit,
                 int64_t **out, size_t *n, struct fault *fault) {
    return id_list(self, d, &POST_REPLIES, post_id, after, limit, out, n, fault);
}

int post_ancestors(struct fiber *self, struct domain *d, int64_t post_id, int limit, int64_t **out, size_t *n,
                   struct fault *fault) {
    return id_list(self, d, &POST_ANCESTORS, post_id, 0, limit, out, n, fault);
}

int post_by_author(struct fiber *self, struct domain *d, int64_t author_id, int64_t before, int limit,
                   int64_t **out, size_t *n, struct fault *fault) {
    return id_list(self, d, &POST_BY_AUTHOR, author_id, before, limit, out, n, fault);
}

int post_edits(struct fiber *self, struct domain *d, int64_t post_id, int32_t before, int limit,
               struct post_edit_row **out, size_t *n, struct fault *fault) {
    struct pg_args args;
    pg_args_init(&args, fiber_arena(self));
    pg_i64(&args, post_id);
    pg_i64(&args, before);
    pg_i64(&args, limit);
    struct pg_result *r;
    int e = pg_exec(self, d->pg, &POST_EDITS, &args, &r, fault);
    if (e != 0) return e;
    *n = (size_t)pg_rows(r);
    *out = ARENA_ARRAY(fiber_arena(self), struct post_edit_row, *n);
    for (int i = 0; i < pg_rows(r); i++)
        (*out)[i] = (struct post_edit_row){(int32_t)pg_get_i64(r, i, 0), pg_get_str(r, i, 1),
                                           pg_get_time_ms(r, i, 2)};
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

    struct pg_args args;
    pg_args_init(&args, a);
    pg_i64(&args, post_id);
    pg_i64(&args, actor);
    outbox_args(&args, &record);
    pg_text(&args, text);
    pg_text(&args, joined_tags(a, text));
    struct pg_result *r;
    e = pg_exec(self, d->pg, &POST_EDIT, &args, &r, fault);
    if (e != 0) return e;
    if (pg_rows(r) == 0)
        return fault_field(fault, ERR_NOT_FOUND, "post_id", "there is no post with this post_id");
    if (!pg_get_bool(r, 0, 0))
        return fault_set(fault, ERR_PERMISSION_DENIED, "only its author can edit a post");
    e = post_publish_or_fail(self, d, &event, pg_get_bool(r, 0, 1), fault);
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

    struct pg_args args;
    pg_args_init(&args, a);
    pg_i64(&args, post_id);
    pg_i64(&args, actor);
    outbox_args(&args, &record);
    struct pg_result *r;
    e = pg_exec(self, d->pg, &POST_DELETE, &args, &r, fault);
    if (e != 0) return e;
    if (!pg_get_bool(r, 0, 0))
        return fault_set(fault, ERR_PERMISSION_DENIED, "only its author can delete a post");
    return post_publish_or_fail(self, d, &event, pg_get_bool(r, 0, 1), fault);
}
