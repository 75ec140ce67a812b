/* Chunks: the delivery of posts with a big audience, chunk by chunk, by tasks on a stream of their own.
 *
 * A post whose author has more than ROOKERY_CHUNK_AUDIENCE followers is not delivered by the fan-out role: it would
 * hold up every small post behind it (P4). The fan-out puts one *undivided* task for it on a chunk stream, which
 * costs it no more than a small post does. The worker that takes this task divides the audience into ranges of
 * follower ids and puts a task for each range on the chunk streams, spread over their partitions. Any worker handles
 * these tasks; they are retried, reclaimed and given up one by one. The story and the failures are in chunks.c.
 */
#ifndef ROOKERY_WORKERS_TIMELINE_CHUNKS_H
#define ROOKERY_WORKERS_TIMELINE_CHUNKS_H

#include "workers/runtime/runtime.h"

extern const struct role CHUNKS_ROLE;

/* Adds the command that puts an undivided task for the entry of this event on a chunk stream. */
void chunks_add_undivided(struct redis_batch *b, int64_t epoch, const Event *post_created,
                          int64_t partitions);

#endif
