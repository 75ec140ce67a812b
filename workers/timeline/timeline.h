/* Home timelines: each new post reaches the lists of its author's followers.
 *
 *   fanout.h    the role that reads events: delivers to small audiences itself, to big ones by chunks
 *   chunks.h    the role that delivers to big audiences, chunk by chunk
 *   deliver.h   commands to Redis, many under way      followers.h  who follows an author
 */
#ifndef ROOKERY_WORKERS_TIMELINE_TIMELINE_H
#define ROOKERY_WORKERS_TIMELINE_TIMELINE_H

#include "workers/timeline/chunks.h"
#include "workers/timeline/deliver.h"
#include "workers/timeline/fanout.h"
#include "workers/timeline/followers.h"

#endif
