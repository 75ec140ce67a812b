/* Datasets as files: chunk by chunk from SQL into a nameless temporary file, so that the scanner, which blocks, can read
 * it on a thread, and so that memory holds one chunk. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/domain/dataset.h"
#include "core/net/codec.h"
#include "workers/jobs/role_jobs.h"
#include "workers/jobs/spill.h"

struct fetch {
    struct worker *worker;
    int64_t dataset_id;
    int fd;
    int error;
    struct fault *fault;
    struct latch done;
};

struct writing {
    int fd, error;
    struct str bytes;
};

static bool write_on_thread(void *arg) {
    struct writing *w = arg;
    while (w->bytes.len > 0) {
        ssize_t n = write(w->fd, w->bytes.ptr, w->bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            w->error = errno;
            return false;
        }
        w->bytes.ptr += n;
        w->bytes.len -= (size_t)n;
    }
    return false;
}

static int store(struct fiber *self, struct fetch *f, struct str bytes) {
    struct writing w = {.fd = f->fd, .bytes = bytes};
    int e = jobs_compute(self, f->worker, write_on_thread, &w);
    if (e == 0 && w.error != 0)
        e = fault_set(f->fault, ERR_UNAVAILABLE, "a temporary file cannot be written: %s", strerror(w.error));
    return e;
}

/* In a fiber of its own, whose arena is emptied after each chunk. */
static void fetch_all(struct fiber *self, void *arg) {
    struct fetch *f = arg;
    struct str bytes = STR("?");
    for (int64_t seq = 0; f->error == 0 && bytes.len > 0; seq++) {
        f->error = dataset_chunk(self, &f->worker->domain, f->dataset_id, seq, &bytes, f->fault);
        if (f->error == 0) f->error = store(self, f, bytes);
        arena_reset(fiber_arena(self));
    }
    latch_done(&f->done);
}

int role_fetch_dataset(struct fiber *self, struct worker *w, int64_t dataset_id, int *fd,
                       struct fault *fault) {
    struct jobs_error wrong = {0};
    struct fetch f = {.worker = w, .dataset_id = dataset_id, .fault = fault};
    f.fd = spill_temporary(NULL, &wrong);
    if (f.fd < 0) return fault_set(fault, ERR_UNAVAILABLE, "%s", wrong.text);
    latch_init(&f.done, 1);
    struct fiber_options options = {.name = "dataset"};
    int e = fiber_spawn(w->domain.loop, &options, fetch_all, &f, NULL);
    if (e == 0) e = latch_wait(self, &f.done);
    if (e == 0) e = f.error;
    if (e == 0 && lseek(f.fd, 0, SEEK_SET) != 0)
        e = fault_set(fault, ERR_INTERNAL, "a file cannot be read back");
    if (e != 0) close(f.fd);
    *fd = e == 0 ? f.fd : -1;
    return e;
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
