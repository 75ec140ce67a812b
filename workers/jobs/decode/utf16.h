/* utf16: makes UTF-8 of UTF-16 while it is read. */
#ifndef ROOKERY_WORKERS_JOBS_DECODE_UTF16_H
#define ROOKERY_WORKERS_JOBS_DECODE_UTF16_H

#include "workers/jobs/table/csv.h"

struct utf16;

/* big: the greater byte comes first. The byte order mark has been read. The source's context is borrowed. Returns NULL
 * on allocation failure. */
struct utf16 *utf16_new(struct csv_source from, bool big);
void utf16_free(struct utf16 *u);

/* The read function of a source (csv.h). It fails with EILSEQ for half a pair, or half a unit at the end. */
ssize_t utf16_read(void *utf16, char *at, size_t room);

#endif
