/* Resume tokens of live feeds: the epoch of Redis, and a place in every event stream.
 *
 * A token says what its reader has been told, in publication order, which is the same for all gateways: each can go on from
 * it. It has a keyed 8-byte MAC, as page tokens have; a made-up or altered token is refused. With 64 partitions it has some
 * 700 characters, with 4 about 80.
 */
#ifndef ROOKERY_GATEWAY_LIVE_TOKEN_H
#define ROOKERY_GATEWAY_LIVE_TOKEN_H

#include "core/id/page_token.h"
#include "gateway/hub/stream.h"

/* NUL-terminated, in the arena. Places that are not all in one epoch give a token that nobody can go on from. */
char *live_token_encode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                        const struct hub_place *places, size_t partitions);

struct live_token {
    struct hub_place *
        places; /* one for each partition; NULL: nobody can go on from it (another number of them, no epoch, or
                                 a token of a version before this one) */
};
/* False when it is no token that any gateway has made. */
bool live_token_decode(struct arena *a, const unsigned char key[static PAGE_TOKEN_KEY_BYTES],
                       struct str token, size_t partitions, struct live_token *out);

#endif
