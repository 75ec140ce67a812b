/* Input and output of the commands. */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_IO_H
#define ROOKERY_WORKERS_JOBS_COMMAND_IO_H

#include "workers/jobs/command/args.h"
#include "workers/jobs/command/progress.h"
#include "workers/jobs/report/output.h"

/* A file that is read from its start to its end, or standard input. */
struct input {
    const char *path;
    const char *name; /* what errors call it */
    int fd;           /* -1 until it is opened, by the first read */
    bool ended;
    bool keep_open; /* at its end, because it will be read again */
    char head[16];  /* bytes that input_starts_with took from the file */
    size_t n_head, at_head;
    bool expected; /* its size counts for the progress */
};
/* path is borrowed. Nothing is opened yet. */
void input_init(struct input *in, const char *path);
/* Opens it and compares its first n <= 16 bytes. Returns false with *error set. */
bool input_starts_with(struct input *in, const char *bytes, size_t n, bool *does, struct jobs_error *error);
/* Opens it, unless that has been done. Returns false with *error set. */
bool input_open(struct input *in, struct jobs_error *error);
struct csv_source input_source(struct input *in);
ssize_t input_read(struct input *in, char *at, size_t room); /* the read function of that source */
void input_close(struct input *in);
/* Lets its size count for the progress; input_open does that too, which is late for one of several files. */
void input_expect(struct input *in);

/* Where a command's table goes: aligned when that is a terminal and no --format was given. */
struct table_output {
    FILE *file;
    struct output result;
    bool display; /* file is memory, shown aligned at the end */
    bool pager;   /* which may use one */
    char *text;
    size_t length;
};
bool table_output_open(struct table_output *out, const struct jobs_args *args, struct jobs_error *error);
/* See output_close. */
bool table_output_close(struct table_output *out, bool good, struct jobs_error *error);

#endif
