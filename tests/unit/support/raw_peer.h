/* A TCP client that sends exactly the bytes it is told to: for what well-behaved clients would never send. */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_RAW_PEER_H
#define ROOKERY_TESTS_UNIT_SUPPORT_RAW_PEER_H

#include "core/async/loop.h"
#include "core/base/str.h"

struct raw_peer {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct fiber *fiber; /* that waits */
    struct buf in;       /* all that came */
    bool connected, failed, ended /* the server closed */, closed, deaf;
};

void raw_open(struct fiber *self, struct raw_peer *p, const char *address);
void raw_close(struct fiber *self, struct raw_peer *p);
/* Closes with a reset, as a kernel does for a process that died with input unread. */
void raw_close_reset(struct fiber *self, struct raw_peer *p);
/* Sends no more behind what was sent, but reads on. */
void raw_half_close(struct raw_peer *p);
void raw_send(struct raw_peer *p, const void *bytes, size_t n);
void raw_send_text(struct raw_peer *p, const char *text);
/* Stops reading from the socket, so that the server's writes stall. */
void raw_stop_reading(struct raw_peer *p);
void raw_go_on_reading(struct raw_peer *p);
/* Each waits at most 5 s: false when it was in vain. */
bool raw_wait_text(struct fiber *self, struct raw_peer *p, const char *text);
bool raw_wait_bytes(struct fiber *self, struct raw_peer *p, size_t n);
bool raw_wait_end(struct fiber *self, struct raw_peer *p);
/* More came, or the end: false after 5 s of silence. */
bool raw_wait_more(struct fiber *self, struct raw_peer *p);
/* How often text occurs in what came. */
size_t raw_count(const struct raw_peer *p, const char *text);

#endif
