/* files: see files.h. */
#include "workers/jobs/command/files.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ------------------------------------------------------------------------------------------- */

static bool add_name(struct files *files, const char *name, struct jobs_error *error) {
    char *copy = strdup(name);
    return (copy && text_list_add(&files->names, copy)) || jobs_fail_memory(error, "the files");
}

static bool add_matches(struct files *files, const char *pattern, struct jobs_error *error) {
    glob_t found;
    int result = glob(pattern, 0, NULL, &found);
    if (result == GLOB_NOSPACE) return jobs_fail_memory(error, "the files");
    if (result != 0)
        return jobs_fail(error, JOBS_FAULT_DATA,
                         "%.200s cannot be read: there is no file, and none that matches", pattern);
    bool good = true;
    for (size_t i = 0; i < found.gl_pathc && good; i++) good = add_name(files, found.gl_pathv[i], error);
    globfree(&found);
    return good;
}

static bool add_names(struct files *files, const struct text_list *words, struct jobs_error *error) {
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->items[i];
        bool pattern = strpbrk(word, "*?[") && access(word, F_OK) != 0;
        if (!(pattern ? add_matches(files, word, error) : add_name(files, word, error))) return false;
    }
    return true;
}

/* ---- checks ------------------------------------------------------------------------------------------ */

/* Files after the first are opened when the one before has been read: better to say now that one is not there. */
static bool check_others(const struct files *files, struct jobs_error *error) {
    for (size_t i = 1; i < files->n; i++) {
        const struct input *in = &files->inputs[i];
        if (strcmp(in->path, "-") == 0 || access(in->path, R_OK) == 0) continue;
        return jobs_fail(
            error, JOBS_FAULT_DATA,
            "%.200s cannot be read: %s (if it is a column: names of columns are given with commas, "
            "as in --x a,b)",
            in->name, strerror(errno));
    }
    return true;
}

struct named {
    const char *path;
    dev_t device;
    ino_t inode;
    bool regular; /* what is not (a pipe) has other bytes each time */
};

static int compare_named(const void *a, const void *b) {
    const struct named *p = a, *q = b;
    if (p->device != q->device) return p->device < q->device ? -1 : 1;
    return p->inode < q->inode ? -1 : p->inode > q->inode;
}

static struct named named_of(const char *path) {
    struct stat info;
    bool is_input = strcmp(path, "-") == 0;
    if ((is_input ? fstat(STDIN_FILENO, &info) : stat(path, &info)) != 0) return (struct named){.path = path};
    return (struct named){path, info.st_dev, info.st_ino, S_ISREG(info.st_mode) || is_input};
}

/* Rows that come twice would count twice. */
static bool check_twice(const struct files *files, struct jobs_error *error) {
    struct named *sorted = malloc(files->n * sizeof *sorted);
    if (!sorted) return jobs_fail_memory(error, "the files");
    for (size_t i = 0; i < files->n; i++) sorted[i] = named_of(files->inputs[i].path);
    qsort(sorted, files->n, sizeof *sorted, compare_named);
    bool good = true;
    for (size_t i = 1; i < files->n && good; i++) {
        const struct named *one = &sorted[i - 1], *other = &sorted[i];
        if (compare_named(one, other) != 0 || !one->regular || !other->regular) continue;
        if (strcmp(one->path, other->path) == 0)
            good = jobs_fail(error, JOBS_FAULT_USAGE, "the file %.200s is named twice", one->path);
        else
            good = jobs_fail(error, JOBS_FAULT_USAGE, "%.200s and %.200s are the same file", one->path,
                             other->path);
    }
    free(sorted);
    return good;
}

/* ---- life -------------------------------------------------------------------------------------------- */

bool files_open(struct files *files, const struct jobs_args *args, bool twice, struct jobs_error *error) {
    *files = (struct files){.delimiter = args->dataset.delimiter, .twice = twice};
    bool good = add_names(files, &args->files, error);
    files->inputs = good ? calloc(files->names.n, sizeof *files->inputs) : NULL;
    good = good && (files->inputs || jobs_fail_memory(error, "the files"));
    for (size_t i = 0; good && i < files->names.n; i++) {
        input_init(&files->inputs[files->n++], files->names.items[i]);
        if (twice) input_twice(&files->inputs[i], args->spec.scratch_dir);
        input_expect(&files->inputs[i]);
    }
    good =
        good && check_others(files, error) && check_twice(files, error) && input_open(files->inputs, error);
    if (!good) {
        files_close(files);
        return false;
    }
    size_t others = files->n - 1;
    snprintf(files->together, sizeof files->together, "%.80s and %zu more file%s", files->inputs->name,
             others, others == 1 ? "" : "s");
    return true;
}

void files_close(struct files *files) {
    for (size_t i = 0; i < files->n; i++) input_close(&files->inputs[i]);
    free(files->inputs);
    text_list_free(&files->names);
    *files = (struct files){0};
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static char delimiter_of(const struct files *files, const struct input *in) {
    return files->delimiter ? files->delimiter : input_delimiter(in->path);
}

static void next_file(void *context, struct dataset_file *file) {
    struct files *files = context;
    if (files->at + 1 >= files->n) return;
    struct input *in = &files->inputs[++files->at];
    *file = (struct dataset_file){in->name, input_source(in), delimiter_of(files, in)};
}

void files_options(struct files *files, struct dataset_options *options) {
    options->delimiter = delimiter_of(files, files->inputs);
    files->more = (struct dataset_files){next_file, files, files->together};
    options->more = files->n > 1 ? &files->more : NULL;
}

struct csv_source files_source(struct files *files) {
    bool again = files->twice && (files->at > 0 || files->inputs->ended);
    files->at = 0;
    for (size_t i = 0; i < files->n && again; i++) input_again(&files->inputs[i]);
    return input_source(files->inputs);
}

void files_failed(const struct files *files, struct jobs_error *error) {
    const struct jobs_error *why = &files->inputs[files->at].error;
    if (why->fault) *error = *why;
}
