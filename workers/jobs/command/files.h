/*
 * files: the FILEs of a command, read one after the other as one table (dataset.h: they have the same header). A FILE
 * that is not there and has one of *, ? and [ in it is a pattern, and stands for the files it matches, in the order of
 * their names.
 */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_FILES_H
#define ROOKERY_WORKERS_JOBS_COMMAND_FILES_H

#include "workers/jobs/command/io.h"

struct files {
    struct input *inputs; /* at least one */
    size_t n, at;         /* at: the one being read */
    struct text_list names;
    char delimiter;     /* as given; 0: as the files' names say */
    bool twice;         /* they will be read again */
    char together[128]; /* all of them, for errors */
    struct dataset_files more;
};

/* Opens the first; the others are known to be there. args are borrowed. Returns false with *error set; nothing is owned
 * then. */
bool files_open(struct files *files, const struct jobs_args *args, bool twice, struct jobs_error *error);
/* Adds what the files say to the options of their dataset. */
void files_options(struct files *files, struct dataset_options *options);
/* Begins with the first file, the first time or again. Its name is files->inputs->name. */
struct csv_source files_source(struct files *files);
/* The better reason for a failure that reading has led to, if there is one. */
void files_failed(const struct files *files, struct jobs_error *error);
void files_close(struct files *files);

#endif
