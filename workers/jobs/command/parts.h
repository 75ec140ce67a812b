/*
 * parts_folder: where `jobs slice` puts its parts. All parts in it are of one run: a folder that has parts of an
 * earlier one is refused, or emptied of them first; and a run that fails, or is interrupted, takes its own away again.
 */
#ifndef ROOKERY_WORKERS_JOBS_COMMAND_PARTS_H
#define ROOKERY_WORKERS_JOBS_COMMAND_PARTS_H

#include "workers/jobs/fit/steps.h"
#include "workers/jobs/report/output.h"

struct parts_folder {
    const char *path, *scratch_dir;
    FILE *notes;
    bool begun; /* the first part has been opened: the parts in the folder are this run's */
    char *name; /* of the part being written */
    struct output out;
    bool (*go_on)(void *context, uint64_t rows); /* the job's own */
    void *context;
};

/* Makes the folder, unless it is there. clear: parts that are in it are removed when the first part is written; without
 * it they are an error. Changes the spec's go_on, which then also ends the job when a signal has come. Texts are
 * borrowed. Returns false with *error set; *folder then needs no closing. */
bool parts_folder_open(struct parts_folder *folder, const char *path, bool clear, struct grouped_spec *spec,
                       struct jobs_error *error);
/* Prints the name of each part that is whole. */
struct steps_sink parts_folder_sink(struct parts_folder *folder);
/* good: the run has ended well, and its parts stay. Does not return when a signal had come that ends the process. */
void parts_folder_close(struct parts_folder *folder, bool good);

#endif
