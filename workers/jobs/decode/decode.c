/* decode: see decode.h. The first two bytes decide, of the file and of what it unpacks to. */
#include "workers/jobs/decode/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/decode/gunzip.h"
#include "workers/jobs/decode/utf16.h"

/* A source whose first bytes have been looked at. */
struct peek {
    struct csv_source from;
    unsigned char head[2];
    size_t n, at;
};

struct decoder {
    struct peek packed, text;
    struct gunzip *gunzip; /* NULL: it is not packed */
    struct utf16 *utf16;   /* NULL: it is not UTF-16 */
    bool begun;
    struct csv_source to;
};

static bool look(struct peek *p) {
    for (ssize_t got = 1; p->n < sizeof p->head && got > 0; p->n += (size_t)got) {
        got = p->from.read(p->from.context, (char *)p->head + p->n, sizeof p->head - p->n);
        if (got < 0) return false;
    }
    return true;
}

static bool begins(const struct peek *p, unsigned first, unsigned second) {
    return p->n == 2 && p->head[0] == first && p->head[1] == second;
}

static ssize_t read_peek(void *context, char *at, size_t room) {
    struct peek *p = context;
    size_t n = p->n - p->at;
    if (n == 0) return p->from.read(p->from.context, at, room);
    if (n > room) n = room;
    memcpy(at, p->head + p->at, n);
    p->at += n;
    return (ssize_t)n;
}

struct decoder *decoder_new(struct csv_source from) {
    struct decoder *d = calloc(1, sizeof *d);
    if (d) d->packed.from = from;
    return d;
}

void decoder_free(struct decoder *d) {
    if (!d) return;
    gunzip_free(d->gunzip);
    utf16_free(d->utf16);
    free(d);
}

/* Chooses what the bytes pass through. Returns false with errno set; it can be called again. */
static bool begin(struct decoder *d) {
    if (!look(&d->packed)) return false;
    d->text.from = (struct csv_source){read_peek, &d->packed};
    if (begins(&d->packed, 0x1F, 0x8B)) {
        if (!d->gunzip) d->gunzip = gunzip_new(d->text.from);
        if (!d->gunzip) return false;
        d->text.from = (struct csv_source){gunzip_read, d->gunzip};
    }
    if (!look(&d->text)) return false;
    d->to = (struct csv_source){read_peek, &d->text};
    bool big = begins(&d->text, 0xFE, 0xFF);
    if (big || begins(&d->text, 0xFF, 0xFE)) {
        d->text.at = d->text.n;
        d->utf16 = utf16_new(d->to, big);
        if (!d->utf16) return false;
        d->to = (struct csv_source){utf16_read, d->utf16};
    }
    d->begun = true;
    return true;
}

ssize_t decoder_read(void *decoder, char *at, size_t room) {
    struct decoder *d = decoder;
    if (!d->begun && !begin(d)) return -1;
    return d->to.read(d->to.context, at, room);
}
