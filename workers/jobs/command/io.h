/* Input and output of the commands. */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_IO_H
#define ROOKERY_WORKERS_JOBS_COMMAND_IO_H

#include <sys/stat.h>

#include "workers/jobs/command/args.h"
#include "workers/jobs/command/progress.h"
#include "workers/jobs/decode/decode.h"
#include "workers/jobs/report/output.h"

/* The text of a file (decode.h), or of standard input, which is read from its start to its end, once or twice. */
struct input {
    const char *path;
    const char *name; /* what errors call it */
    int fd;           /* -1 until it is opened, by the first read, and after the last */
    struct decoder *decoder;
    bool ended;
    bool bytes_ended;  /* of the file */
    bool twice, again; /* it will be read again; it is */
    off_t start;       /* where it began */
    struct stat info;  /* then */
    const char *scratch_dir;
    int copy;      /* of what can be read once only; -1: there is none */
    char head[16]; /* text that input_starts_with took */
    size_t n_head, at_head;
    struct jobs_error error; /* why a read failed, unless errno says it */
    bool expected;           /* its size counts for the progress */
};
/* path is borrowed. Nothing is opened yet. */
void input_init(struct input *in, const char *path);
/* Opens it and compares the first n <= 16 bytes of its text. Returns false with *error set. */
bool input_starts_with(struct input *in, const char *bytes, size_t n, bool *does, struct jobs_error *error);
/* Opens it, unless that has been done. Returns false with *error set. */
bool input_open(struct input *in, struct jobs_error *error);
struct csv_source input_source(struct input *in);
ssize_t input_read(struct input *in, char *at, size_t room); /* the read function of that source */
void input_close(struct input *in);
/* Call it before the first read: the input will be read again. What cannot be (a pipe) is copied to a nameless
 * temporary file while it is read. scratch_dir is borrowed; NULL: $TMPDIR, or /var/tmp. */
void input_twice(struct input *in, const char *scratch_dir);
/* Begins again. */
void input_again(struct input *in);
/* The delimiter that goes with a file's name: a tab for *.tsv and *.tab, also packed (.gz); 0 for any other. */
char input_delimiter(const char *path);
/* Lets its size count for the progress; input_open does that too, which is late for one of several files. */
void input_expect(struct input *in);

/* Where a command's table goes: aligned when that is a terminal and no --format was given. Its notes go to standard
 * error, in that case after the table. */
struct table_output {
    FILE *file;
    FILE *notes; /* NULL with --quiet */
    struct output result;
    bool display; /* file is memory, shown aligned at the end */
    bool pager;   /* which may use one */
    FILE *later;  /* then the notes are memory too; NULL: they are not */
    char *text, *notes_text;
    size_t length, notes_length;
};
bool table_output_open(struct table_output *out, const struct jobs_args *args, struct jobs_error *error);
/* See output_close. */
bool table_output_close(struct table_output *out, bool good, struct jobs_error *error);

#endif
