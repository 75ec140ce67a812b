/*
 * command_impute: `jobs impute`. The file is read twice; what cannot be (standard input, a pipe) is copied to a
 * nameless temporary file while it is read first.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/command/command.h"
#include "workers/jobs/command/io.h"
#include "workers/jobs/fit/impute.h"
#include "workers/jobs/table/spill.h"

struct twice {
    struct input *in;
    off_t start; /* where a file that can be read again begins; -1: it cannot */
    int copy;    /* -1: there is none */
    struct jobs_error error;
};

static ssize_t read_first(void *context, char *at, size_t room) {
    struct twice *t = context;
    ssize_t got = input_read(t->in, at, room);
    if (got <= 0 || t->copy < 0) return got;
    if (spill_write(t->copy, at, (size_t)got, &t->error)) return got;
    return -1;
}

static ssize_t read_again(void *context, char *at, size_t room) {
    const struct twice *t = context;
    int fd = t->copy >= 0 ? t->copy : t->in->fd;
    ssize_t got;
    do got = read(fd, at, room);
    while (got < 0 && errno == EINTR);
    if (got > 0) progress_read((size_t)got);
    return got;
}

static struct csv_source again(void *context) {
    struct twice *t = context;
    progress_again("writing");
    lseek(t->copy >= 0 ? t->copy : t->in->fd, t->copy >= 0 ? 0 : t->start, SEEK_SET);
    return (struct csv_source){read_again, t};
}

static bool twice_open(struct twice *t, const struct jobs_args *args, struct jobs_error *error) {
    t->start = lseek(t->in->fd, 0, SEEK_CUR);
    t->copy = -1;
    t->in->keep_open = true;
    if (t->start >= 0) return true;
    t->copy = spill_temporary(args->spec.scratch_dir, error);
    return t->copy >= 0;
}

static bool impute(const struct jobs_args *args, struct twice *t, FILE *out, struct jobs_error *error) {
    struct grouped_spec spec = args->spec;
    struct impute_input input = {t->in->name, {read_first, t}, again, t};
    spec.notes = progress_notes();
    progress_follow(&spec);
    bool good = impute_run(&spec, &input, &args->dataset, out, error);
    if (good) return true;
    if (t->error.fault) *error = t->error; /* the copy is what failed */
    return false;
}

bool command_impute(const struct jobs_args *args, struct jobs_error *error) {
    struct input in;
    struct output out;
    struct twice t = {.in = &in, .copy = -1};
    input_init(&in, args->files.items[0]);
    if (!input_open(&in, error)) return false;
    bool good = twice_open(&t, args, error) && output_open(&out, args->output, args->spec.scratch_dir, error);
    if (good) good = output_close(&out, impute(args, &t, out.file, error), error);
    if (t.copy >= 0) close(t.copy);
    input_close(&in);
    return good;
}
