/* The files of the commands. */
#include "workers/jobs/command/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/jobs/command/terminal.h"
#include "workers/jobs/table/spill.h"

/* ---- input ------------------------------------------------------------------------------------------- */

void input_init(struct input *in, const char *path) {
    *in = (struct input){
        .path = path, .name = strcmp(path, "-") == 0 ? "standard input" : path, .fd = -1, .copy = -1};
}

char input_delimiter(const char *path) {
    size_t length = strlen(path);
    if (length > 3 && strcasecmp(path + length - 3, ".gz") == 0) length -= 3;
    if (length < 4) return 0;
    const char *end = path + length - 4;
    return strncasecmp(end, ".tsv", 4) == 0 || strncasecmp(end, ".tab", 4) == 0 ? '\t' : 0;
}

static bool changed(const struct stat *a, const struct stat *b) {
    return a->st_dev != b->st_dev || a->st_ino != b->st_ino || a->st_size != b->st_size ||
           a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

/* What has just been opened. */
static bool look_at(struct input *in, struct jobs_error *error) {
    struct stat before = in->info;
    if (fstat(in->fd, &in->info) == 0 && S_ISDIR(in->info.st_mode))
        return jobs_fail(error, JOBS_FAULT_DATA, "%s is a folder; name a CSV file", in->name);
    if (in->again && changed(&before, &in->info))
        return jobs_fail(error, JOBS_FAULT_DATA, "%s changed while it was read; try again", in->name);
    posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (!in->twice || in->again) return true;
    in->start = lseek(in->fd, 0, SEEK_CUR);
    if (in->start < 0) in->copy = spill_temporary(in->scratch_dir, error);
    return in->start >= 0 || in->copy >= 0;
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
    if (in->fd >= 0) return true;
    input_expect(in);
    in->fd = strcmp(in->path, "-") == 0 ? STDIN_FILENO : open(in->path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0)
        return jobs_fail(error, JOBS_FAULT_DATA, "%s cannot be read: %s", in->name, strerror(errno));
    return look_at(in, error);
}

static void close_file(struct input *in) {
    if (in->fd > STDERR_FILENO) close(in->fd);
    in->fd = -1;
}

void input_close(struct input *in) {
    close_file(in);
    if (in->copy >= 0) close(in->copy);
    in->copy = -1;
    decoder_free(in->decoder);
    in->decoder = NULL;
}

void input_twice(struct input *in, const char *scratch_dir) {
    in->twice = true;
    in->scratch_dir = scratch_dir;
}

void input_again(struct input *in) {
    close_file(in);
    decoder_free(in->decoder);
    in->decoder = NULL;
    in->again = true;
    in->ended = in->bytes_ended = false;
    in->n_head = in->at_head = 0;
    if (in->copy >= 0) {
        lseek(in->copy, 0, SEEK_SET);
    } else if (strcmp(in->path, "-") == 0) {
        lseek(STDIN_FILENO, in->start, SEEK_SET);
    }
}

/* The bytes of the file. Opens it at the first read, and closes it at the end: of a thousand files only one is open
 * at a time. */
static ssize_t read_bytes(void *context, char *at, size_t room) {
    struct input *in = context;
    bool copied = in->again && in->copy >= 0;
    ssize_t got;
    if (in->bytes_ended) return 0;
    errno = 0;
    if (!copied && !input_open(in, &in->error)) {
        if (errno == 0) errno = EIO;
        return -1;
    }
    do got = read(copied ? in->copy : in->fd, at, room);
    while (got < 0 && errno == EINTR);
    if (got >= 0) progress_read((size_t)got);
    in->bytes_ended = got == 0;
    if (got == 0) close_file(in);
    if (got <= 0 || in->copy < 0 || copied || spill_write(in->copy, at, (size_t)got, &in->error)) return got;
    errno = EIO;
    return -1;
}

/* The text. */
static ssize_t read_text(struct input *in, char *at, size_t room) {
    if (in->ended) return 0;
    if (!in->decoder) in->decoder = decoder_new((struct csv_source){read_bytes, in});
    if (!in->decoder) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t got = decoder_read(in->decoder, at, room);
    if (got != 0) return got;
    in->ended = true;
    decoder_free(in->decoder);
    in->decoder = NULL;
    return 0;
}

bool input_starts_with(struct input *in, const char *bytes, size_t n, bool *does, struct jobs_error *error) {
    if (!input_open(in, error)) return false;
    for (ssize_t got = 1; in->n_head < n && got > 0; in->n_head += (size_t)got) {
        got = read_text(in, in->head + in->n_head, n - in->n_head);
        if (got < 0)
            return jobs_fail(error, JOBS_FAULT_DATA, "%s cannot be read: %s", in->name,
                             csv_source_failure(errno));
    }
    *does = in->n_head == n && memcmp(in->head, bytes, n) == 0;
    return true;
}

ssize_t input_read(struct input *in, char *at, size_t room) {
    size_t n = in->n_head - in->at_head;
    if (n == 0) return read_text(in, at, room);
    if (n > room) n = room;
    memcpy(at, in->head + in->at_head, n);
    in->at_head += n;
    return (ssize_t)n;
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
                                 .pager = !args->no_pager,
                                 .notes = progress_notes()};
    if (out->display) {
        out->file = open_memstream(&out->text, &out->length);
        if (!out->file) return jobs_fail_memory(error, "the table");
        if (out->notes) out->later = open_memstream(&out->notes_text, &out->notes_length);
        if (out->later) out->notes = out->later;
        return true;
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
    if (out->later && fclose(out->later) == 0) fwrite(out->notes_text, 1, out->notes_length, stderr);
    free(out->notes_text);
    free(out->text);
    return good;
}

bool table_output_close(struct table_output *out, bool good, struct jobs_error *error) {
    return out->display ? close_display(out, good, error) : output_close(&out->result, good, error);
}
