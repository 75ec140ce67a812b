/* An HTTP/2 client that sends exactly the frames it is told to, and notes what comes back for each stream. */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_H2_PEER_H
#define ROOKERY_TESTS_UNIT_SUPPORT_H2_PEER_H

#include <nghttp2/nghttp2.h>

#include "tests/unit/support/raw_peer.h"

enum { H2_PEER_STREAMS = 4096 };

/* What came for one stream. */
struct h2_response {
    int http_status, grpc_status; /* -1: none */
    int header_blocks;            /* HEADERS frames */
    bool ended;                   /* END_STREAM came */
    int64_t reset;                /* the code of RST_STREAM; -1: none */
    struct buf body;              /* all DATA */
    struct buf fields;            /* "name: value\n" of all blocks */
};

struct h2_peer {
    struct raw_peer raw;
    size_t parsed; /* bytes of raw.in taken apart */
    nghttp2_hd_inflater *inflater;
    struct h2_response *streams; /* by id */
    bool auto_window;            /* gives back what comes */
    int64_t goaway;              /* its error code; -1: none */
    int pings_answered, settings_acked;
};

/* Connects, sends the preface and SETTINGS with the initial window (-1: the default). */
void h2_open(struct fiber *self, struct h2_peer *p, const char *address, int64_t window);
void h2_close(struct fiber *self, struct h2_peer *p);

void h2_send_frame(struct h2_peer *p, uint8_t type, uint8_t flags, int32_t stream, const void *payload,
                   size_t n);
/* Fields as "name", "value", ..., NULL; literal, never indexed. */
void h2_send_fields(struct h2_peer *p, int32_t stream, uint8_t flags, const char *const *fields);
/* The usual headers of a gRPC call, and one more field (NULL for none). */
void h2_send_call(struct h2_peer *p, int32_t stream, const char *path, const char *name, const char *value);
/* DATA with one message, its prefix made; flags such as END_STREAM. */
void h2_send_message(struct h2_peer *p, int32_t stream, struct str message, uint8_t flags);
void h2_send_window(struct h2_peer *p, int32_t stream, uint32_t n);
void h2_send_reset(struct h2_peer *p, int32_t stream, uint32_t code);

/* Takes apart what came, waits for more if there was nothing new: false at the end or after 5 s of silence.
 */
bool h2_pump(struct fiber *self, struct h2_peer *p);
/* Until the stream has ended or was reset; NULL when neither came. */
const struct h2_response *h2_wait(struct fiber *self, struct h2_peer *p, int32_t stream);

#endif
