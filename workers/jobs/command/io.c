/* The files of the commands. */
#include "workers/jobs/command/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/jobs/command/terminal.h"

/* ---- input ------------------------------------------------------------------------------------------- */

void input_init(struct input *in, const char *path) {
    *in = (struct input){.path = path, .name = strcmp(path, "-") == 0 ? "standard input" : path, .fd = -1};
}

void input_expect(struct input *in) {
    bool standard = strcmp(in->path, "-") == 0;
    struct stat info;
    if (in->expected) return;
    bool known =
        (standard ? fstat(STDIN_FILENO, &info) : stat(in->path, &info)) == 0 && S_ISREG(info.st_mode);
    off_t before = standard && known ? lseek(STDIN_FILENO, 0, SEEK_CUR) : 0;
    progress_expect(known && before >= 0 && before <= info.st_size ? info.st_size - before : -1);
    in->expected = true;
}

bool input_open(struct input *in, struct jobs_error *error) {
    struct stat info;
    if (in->fd >= 0) return true;
    input_expect(in);
    in->fd = strcmp(in->path, "-") == 0 ? STDIN_FILENO : open(in->path, O_RDONLY | O_CLOEXEC);
    if (in->fd >= 0 && fstat(in->fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        return jobs_fail(error, JOBS_FAULT_DATA, "%s is a folder; name a CSV file", in->name);
    }
    if (in->fd < 0)
        return jobs_fail(error, JOBS_FAULT_DATA, "%s cannot be read: %s", in->name, strerror(errno));
    posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return true;
}

void input_close(struct input *in) {
    if (in->fd > STDERR_FILENO) close(in->fd);
    in->fd = -1;
}

static ssize_t read_file(const struct input *in, char *at, size_t room) {
    ssize_t got;
    do got = read(in->fd, at, room);
    while (got < 0 && errno == EINTR);
    if (got >= 0) progress_read((size_t)got);
    return got;
}

bool input_starts_with(struct input *in, const char *bytes, size_t n, bool *does, struct jobs_error *error) {
    if (!input_open(in, error)) return false;
    while (in->n_head < n) {
        ssize_t got = read_file(in, in->head + in->n_head, n - in->n_head);
        if (got < 0)
            return jobs_fail(error, JOBS_FAULT_DATA, "%s cannot be read: %s", in->name, strerror(errno));
        if (got == 0) break;
        in->n_head += (size_t)got;
    }
    *does = in->n_head == n && memcmp(in->head, bytes, n) == 0;
    return true;
}

/* Opens at the first read, and closes at the end: of a thousand tables only one is open at a time. */
ssize_t input_read(struct input *in, char *at, size_t room) {
    struct jobs_error ignored = {0};
    if (in->ended) return 0;
    if (in->fd < 0 && !input_open(in, &ignored)) return -1;
    if (in->at_head < in->n_head) {
        size_t n = in->n_head - in->at_head < room ? in->n_head - in->at_head : room;
        memcpy(at, in->head + in->at_head, n);
        in->at_head += n;
        return (ssize_t)n;
    }
    ssize_t got = read_file(in, at, room);
    in->ended = got == 0;
    if (got == 0 && !in->keep_open) input_close(in);
    return got;
}

static ssize_t read_input(void *context, char *at, size_t room) {
    return input_read(context, at, room);
}

struct csv_source input_source(struct input *in) {
    return (struct csv_source){read_input, in};
}

/* ---- output ------------------------------------------------------------------------------------------ */

bool table_output_open(struct table_output *out, const struct jobs_args *args, struct jobs_error *error) {
    bool elsewhere = args->output && strcmp(args->output, "-") != 0;
    *out = (struct table_output){.display = !elsewhere && !args->has_format && isatty(STDOUT_FILENO),
                                 .pager = !args->no_pager};
    if (out->display) {
        out->file = open_memstream(&out->text, &out->length);
        return out->file || jobs_fail_memory(error, "the table");
    }
    if (!output_open(&out->result, args->output, args->spec.scratch_dir, error)) return false;
    out->file = out->result.file;
    return true;
}

static bool close_display(struct table_output *out, bool good, struct jobs_error *error) {
    progress_end();
    if (fclose(out->file) != 0 || !out->text) good = good && jobs_fail_memory(error, "the table");
    good = good && terminal_show(out->text, out->length, out->pager, error);
    if (fflush(stdout) != 0)
        good = good &&
               jobs_fail(error, JOBS_FAULT_DATA, "standard output cannot be written: %s", strerror(errno));
    free(out->text);
    return good;
}

bool table_output_close(struct table_output *out, bool good, struct jobs_error *error) {
    return out->display ? close_display(out, good, error) : output_close(&out->result, good, error);
}
