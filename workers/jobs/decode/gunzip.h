/*
 * gunzip: unpacks gzip data (RFC 1952) while they are read, in bounded memory. Members that follow one another are read
 * as one, as gzip -d does; zeros behind the last are padding.
 */
#ifndef ROOKERY_WORKERS_JOBS_DECODE_GUNZIP_H
#define ROOKERY_WORKERS_JOBS_DECODE_GUNZIP_H

#include "workers/jobs/table/csv.h"

struct gunzip;

/* The source's context is borrowed. Returns NULL on allocation failure. */
struct gunzip *gunzip_new(struct csv_source from);
void gunzip_free(struct gunzip *g);

/* The read function of a source (csv.h). It fails with EBADMSG for damaged data, and with ENODATA for data that end
 * within a member. */
ssize_t gunzip_read(void *gunzip, char *at, size_t room);

#endif
