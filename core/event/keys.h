/* Every Redis key, in one place. All of it can be rebuilt from SQL.
 *
 *   tl:E:{A}     list    home timeline of account A in epoch E (core/domain/timeline/list.h)
 *   rv:{A}       string  relations token of A (tokens.h): moves with whom A follows, blocks, mutes, is blocked by
 *   lv:{A}       string  likes token of A: moves with what A likes and reposts
 *   events:{P}   stream  events of partition P, field "e" = rookery.events.v1.Event
 *   chunks:{P}   stream  delivery of one post to one chunk of a big audience
 *   jobs:{P}     stream  steps of jobs, field "e" = rookery.events.v1.JobMessage
 *   dead:{P}     stream  dead letters of partition P
 *   epoch        string  the number of this Redis's epoch (epoch.h); never trust what is of a lower one
 *   database     string  the furthest state of PostgreSQL that any process has seen (epoch.h)
 *
 * The braces are part of the key: they are Redis Cluster's hash tag, and no command touches two of them. The last two
 * belong to a whole server.
 */
#ifndef ROOKERY_CORE_EVENT_KEYS_H
#define ROOKERY_CORE_EVENT_KEYS_H

#include <stdint.h>

#include "core/base/str.h"

#define KEY_MAX 64

#define KEY_EPOCH "epoch"
#define KEY_DATABASE "database"

/* Each writes the key, NUL-terminated, and returns it as a slice of out. */
struct str key_timeline(char out[static KEY_MAX], int64_t epoch, int64_t account_id);
struct str key_relations_token(char out[static KEY_MAX], int64_t account_id);
struct str key_likes_token(char out[static KEY_MAX], int64_t account_id);
/* The account of one of the three keys above; 0 for any other key. */
int64_t key_account(struct str key);
/* name:{P}, for streams (stream.h). */
struct str key_of_partition(char out[static KEY_MAX], const char *name, int partition);
struct str key_dead(char out[static KEY_MAX], int partition);

#endif
