/* What Redis says of a stream and of its consumer groups. */
#ifndef ROOKERY_WORKERS_RUNTIME_STREAM_INFO_H
#define ROOKERY_WORKERS_RUNTIME_STREAM_INFO_H

#include "core/store/redis/stream_id.h"

struct stream_info {
    bool exists;
    int64_t length;
    int64_t added;          /* entries ever */
    struct stream_id first; /* of the oldest entry still there, when length > 0 */
    struct stream_id last;  /* of the newest entry ever, trimmed or not */
};
/* Returns 0, or an error of redis_call. A stream that does not exist is not an error: out->exists is false. */
int stream_info_read(struct fiber *self, struct redis *r, struct str key, struct stream_info *out);

struct group_info {
    bool exists;
    int64_t pending;
    int64_t entries_read; /* -1: Redis does not know */
    int64_t lag;          /* -1: Redis does not know */
    struct stream_id last_delivered;
    struct stream_id oldest_pending; /* when pending > 0 */
};
/* The same for a group; on a stream that does not exist, it does not exist either. The pending entries are read at
 * the same moment as the rest, or later. */
int group_info_read(struct fiber *self, struct redis *r, struct str key, struct str group,
                    struct group_info *out);

/* Reads the names of the groups on a stream, in the fiber's arena; none when the stream does not exist. */
int groups_read(struct fiber *self, struct redis *r, struct str key, struct str **out, size_t *n);

struct consumer_info {
    struct str name;
    int64_t pending; /* -1: Redis does not say */
    int64_t idle_ms; /* since its last command */
};
/* Reads the members of a group, in the fiber's arena; none when the group does not exist. */
int consumers_info_read(struct fiber *self, struct redis *r, struct str key, struct str group,
                        struct consumer_info **out, size_t *n);

/* Returns the first entry of the stream that the group still needs: its oldest pending one, or the one after the last
 * delivered. */
struct stream_id group_info_needs(const struct group_info *g);

#endif
