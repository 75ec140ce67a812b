/* gunzip: see gunzip.h. zlib checks each member's length and checksum, and says so at its end. */
#include "workers/jobs/decode/gunzip.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define BUFFER (64u << 10)
/* A window of 32 KiB, and a gzip header (zlib.h: 16 is added to the size). */
#define WINDOW (15 + 16)

struct gunzip {
    struct csv_source from;
    z_stream stream;
    bool between;     /* no member is open */
    bool padded;      /* zeros came behind the last member: nothing else may follow */
    bool input_ended; /* from has no more */
    int failed;       /* the errno of every later read; 0: none has failed */
    unsigned char buffer[BUFFER];
};

struct gunzip *gunzip_new(struct csv_source from) {
    struct gunzip *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->from = from;
    g->between = true;
    if (inflateInit2(&g->stream, WINDOW) == Z_OK) return g;
    free(g);
    return NULL;
}

void gunzip_free(struct gunzip *g) {
    if (!g) return;
    inflateEnd(&g->stream);
    free(g);
}

static bool fill(struct gunzip *g) {
    if (g->stream.avail_in > 0 || g->input_ended) return true;
    ssize_t got = g->from.read(g->from.context, (char *)g->buffer, sizeof g->buffer);
    if (got < 0) return false;
    g->stream.next_in = g->buffer;
    g->stream.avail_in = (uInt)got;
    g->input_ended = got == 0;
    return true;
}

enum step { STEP_GOES_ON, STEP_ENDS, STEP_FAILS };

/* Between members: skips padding, and opens the next. There is input. */
static enum step begin_member(struct gunzip *g) {
    while (g->stream.avail_in > 0 && *g->stream.next_in == 0) {
        g->stream.next_in++;
        g->stream.avail_in--;
        g->padded = true;
    }
    if (g->stream.avail_in == 0) return STEP_GOES_ON;
    g->between = false;
    if (!g->padded && inflateReset(&g->stream) == Z_OK) return STEP_GOES_ON;
    errno = EBADMSG;
    return STEP_FAILS;
}

static enum step step(struct gunzip *g) {
    if (!fill(g)) return STEP_FAILS;
    if (g->between) return g->stream.avail_in == 0 ? STEP_ENDS : begin_member(g);
    int result = inflate(&g->stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) g->between = true;
    if (result == Z_OK || result == Z_STREAM_END) return STEP_GOES_ON;
    errno = result == Z_MEM_ERROR ? ENOMEM : result == Z_BUF_ERROR ? ENODATA : EBADMSG;
    return STEP_FAILS;
}

ssize_t gunzip_read(void *gunzip, char *at, size_t room) {
    struct gunzip *g = gunzip;
    uInt wanted = room < INT_MAX ? (uInt)room : INT_MAX;
    assert(wanted > 0);
    g->stream.next_out = (unsigned char *)at;
    g->stream.avail_out = wanted;
    while (g->stream.avail_out == wanted && !g->failed) {
        enum step done = step(g);
        if (done == STEP_ENDS) return 0;
        if (done == STEP_FAILS) g->failed = errno;
    }
    /* What was unpacked before the damage is returned first. */
    if (g->stream.avail_out < wanted) return (ssize_t)(wanted - g->stream.avail_out);
    errno = g->failed;
    return -1;
}
