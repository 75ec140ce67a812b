/* Bytes between SQL and files. Each transfer runs in a fiber of its own, whose arena is emptied after each chunk; the
 * disk is read and written on the thread pool. */
#include "workers/jobs/role/files.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/codec/codec.h"
#include "core/domain/job/dataset.h"
#include "workers/jobs/role/files.sql.h"
#include "workers/jobs/role/role.h"
#include "workers/jobs/table/spill.h"

int role_temporary(struct fault *fault) {
    struct jobs_error wrong = {0};
    int fd = spill_temporary(NULL, &wrong);
    if (fd < 0) fault_set(fault, ERR_UNAVAILABLE, "%.200s", wrong.text);
    return fd;
}

/* ---- on a thread --------------------------------------------------------------------------------------- */

struct disk {
    int fd;
    char *bytes;
    size_t n;
    int64_t offset; /* of reading */
    int error;
};

static bool write_chunk(void *arg) {
    struct disk *d = arg;
    for (size_t done = 0; done < d->n && d->error == 0;) {
        ssize_t n = write(d->fd, d->bytes + done, d->n - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            d->error = errno;
    }
    return false;
}

static bool read_chunk(void *arg) {
    struct disk *d = arg;
    for (size_t done = 0; done < d->n && d->error == 0;) {
        ssize_t n = pread(d->fd, d->bytes + done, d->n - done, d->offset + (int64_t)done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            d->error = n == 0 ? EIO : errno; /* the length is known, so an early end is an error */
    }
    return false;
}

static int on_disk(struct fiber *self, struct worker *w, jobs_piece *piece, struct disk *d,
                   struct fault *fault) {
    int e = jobs_compute(self, w, piece, d);
    if (e == 0 && d->error != 0)
        e = fault_set(fault, ERR_UNAVAILABLE, "a temporary file: %s", strerror(d->error));
    return e;
}

/* ---- chunks in SQL ------------------------------------------------------------------------------------- */

static int get_chunk(struct fiber *self, struct worker *w, struct role_bytes from, int32_t seq,
                     struct str *out, struct fault *fault) {
    if (from.kind == ROLE_DATASET) return dataset_chunk(self, &w->domain, from.id, seq, out, fault);
    struct pg_result *r;
    int e = pg_ask(self, w->domain.pg, from.kind == ROLE_PART ? &ROLE_PART_CHUNK : &ROLE_RESULT_CHUNK, &r,
                   fault, pg_i64(from.id), pg_i32(from.task), pg_i32(seq));
    if (e == 0) *out = pg_only_str(r);
    return e;
}

static int put_chunk(struct fiber *self, struct worker *w, struct role_bytes to, int32_t seq,
                     struct str bytes, struct fault *fault) {
    int64_t offset = (int64_t)seq * (int64_t)DATASET_CHUNK_BYTES;
    if (to.kind == ROLE_DATASET)
        return dataset_append(self, &w->domain, to.id, to.attempt, offset, bytes, STR(""), fault);
    return pg_ask(self, w->domain.pg, to.kind == ROLE_PART ? &ROLE_PUT_PART : &ROLE_PUT_RESULT, NULL, fault,
                  pg_i64(to.id), pg_i32(to.task), pg_i32(seq), pg_bytes(bytes));
}

/* ---- transfers ----------------------------------------------------------------------------------------- */

struct transfer {
    struct worker *worker;
    struct role_bytes what;
    int fd;
    int64_t offset, length;
    int error;
    struct fault *fault;
    struct latch done;
};

static int fetch_one(struct fiber *self, struct transfer *t, int32_t seq, bool *last) {
    struct str bytes;
    int e = get_chunk(self, t->worker, t->what, seq, &bytes, t->fault);
    if (e != 0) return e;
    *last = bytes.len < DATASET_CHUNK_BYTES;
    t->length += (int64_t)bytes.len;
    struct disk d = {.fd = t->fd, .bytes = (char *)(uintptr_t)bytes.ptr, .n = bytes.len};
    return bytes.len == 0 ? 0 : on_disk(self, t->worker, write_chunk, &d, t->fault);
}

static void fetch_all(struct fiber *self, void *arg) {
    struct transfer *t = arg;
    bool last = false;
    for (int32_t seq = 0; t->error == 0 && !last; seq++) {
        t->error = fetch_one(self, t, seq, &last);
        arena_reset(fiber_arena(self));
    }
    latch_done(&t->done);
}

static int store_one(struct fiber *self, struct transfer *t, int32_t seq) {
    int64_t from = (int64_t)seq * (int64_t)DATASET_CHUNK_BYTES, left = t->length - from;
    assert(left > 0);
    size_t n = left < (int64_t)DATASET_CHUNK_BYTES ? (size_t)left : DATASET_CHUNK_BYTES;
    struct disk d = {
        .fd = t->fd, .bytes = arena_alloc(fiber_arena(self), n), .n = n, .offset = t->offset + from};
    int e = on_disk(self, t->worker, read_chunk, &d, t->fault);
    return e != 0 ? e : put_chunk(self, t->worker, t->what, seq, (struct str){d.bytes, n}, t->fault);
}

static void store_all(struct fiber *self, void *arg) {
    struct transfer *t = arg;
    for (int32_t seq = 0; t->error == 0 && (int64_t)seq * (int64_t)DATASET_CHUNK_BYTES < t->length; seq++) {
        t->error = store_one(self, t, seq);
        arena_reset(fiber_arena(self));
    }
    latch_done(&t->done);
}

static int run(struct fiber *self, struct transfer *t, fiber_fn *fn) {
    struct fiber_options options = {.name = "job bytes"};
    latch_init(&t->done, 1);
    struct fiber *child;
    int e = fiber_spawn(t->worker->domain.loop, &options, fn, t, &child);
    if (e == 0) e = jobs_wait_child(self, child, &t->done);
    return e != 0 ? e : t->error;
}

int role_fetch(struct fiber *self, struct worker *w, struct role_bytes from, int fd, int64_t *length,
               struct fault *fault) {
    struct transfer t = {.worker = w, .what = from, .fd = fd, .fault = fault};
    int e = run(self, &t, fetch_all);
    *length = t.length;
    return e;
}

int role_store(struct fiber *self, struct worker *w, struct role_bytes to, int fd, int64_t offset,
               int64_t length, struct fault *fault) {
    assert(offset >= 0 && length >= 0);
    struct transfer t = {
        .worker = w, .what = to, .fd = fd, .offset = offset, .length = length, .fault = fault};
    return run(self, &t, store_all);
}

/* ---- reading them -------------------------------------------------------------------------------------- */

static ssize_t read_range(void *context, char *at, size_t room) {
    struct role_range *r = context;
    int64_t left = r->end - r->at;
    assert(left >= 0);
    if (left < (int64_t)room) room = (size_t)left;
    if (room == 0) return 0;
    ssize_t n = pread(r->fd, at, room, r->at);
    if (n > 0) r->at += n;
    return n;
}

struct csv_source role_range_source(struct role_range *range) {
    return (struct csv_source){read_range, range};
}

void role_dialect(struct arena *a, struct str encoded, struct dataset_options *out) {
    const Rookery__V1__CsvDialect *d =
        (void *)pb_decode(&rookery__v1__csv_dialect__descriptor, encoded, a, NULL);
    *out = (struct dataset_options){0};
    if (!d) return; /* we encoded it */
    const char **names = ARENA_ARRAY(a, const char *, d->n_column_tokens);
    const char **lists = ARENA_ARRAY(a, const char *, d->n_column_tokens);
    for (size_t i = 0; i < d->n_column_tokens; i++) {
        names[i] = d->column_tokens[i]->column;
        lists[i] = d->column_tokens[i]->missing_tokens;
    }
    *out = (struct dataset_options){
        .delimiter = d->delimiter[0],
        .na = d->no_missing_tokens   ? ""
              : d->missing_tokens[0] ? d->missing_tokens
                                     : NULL,
        .na_columns = names,
        .na_of = lists,
        .n_na_columns = d->n_column_tokens,
        .quoted_numbers = d->quoted_numbers,
    };
}
