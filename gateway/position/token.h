/* Resume tokens of streams: the epoch of Redis, and a place in every event stream.
 *
 * A token says up to where in each event stream its reader has been told. The event streams are the same for all
 * gateways, so a stream can resume from it on each of them. It has a keyed 8-byte MAC, as page tokens have; a made-up
 * or altered token is refused. With 64 partitions it has some 700 characters, with 4 about 80.
 */
#ifndef ROOKERY_GATEWAY_POSITION_TOKEN_H
#define ROOKERY_GATEWAY_POSITION_TOKEN_H

#include "core/id/page_token.h"
#include "gateway/hub/stream.h"

/* Returns the token, NUL-terminated, in the arena. If the places are not all in one epoch, no stream can resume from
 * it. */
char *live_token_encode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                        const struct hub_place *places, size_t partitions);

struct live_token {
    /* One for each partition. NULL when no stream can resume from the token: it has another number of partitions, no
     * epoch, or an older version. */
    struct hub_place *places;
};
/* Returns false when no gateway has made this token. */
bool live_token_decode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                       struct str token, size_t partitions, struct live_token *out);

#endif
