/*
 * decode: the text of a file, whatever it is packed and encoded in. What begins as gzip data is unpacked; what then
 * begins with the byte order mark of UTF-16 becomes UTF-8. Anything else is passed on as it is. (No CSV begins like
 * either: neither's first bytes are UTF-8.)
 *
 * Memory is bounded, and text is passed on in the caller's room as soon as it is there.
 */
#ifndef ROOKERY_WORKERS_JOBS_DECODE_DECODE_H
#define ROOKERY_WORKERS_JOBS_DECODE_DECODE_H

#include "workers/jobs/table/csv.h"

struct decoder;

/* The source's context is borrowed. Returns NULL on allocation failure. */
struct decoder *decoder_new(struct csv_source from);
void decoder_free(struct decoder *d);

/* The read function of a source (csv.h, which has sentences for what it fails with). */
ssize_t decoder_read(void *decoder, char *at, size_t room);

#endif
