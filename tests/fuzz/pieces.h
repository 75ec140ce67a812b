/* The input of a target as a source of the jobs lane. */
#ifndef ROOKERY_TESTS_FUZZ_PIECES_H
#define ROOKERY_TESTS_FUZZ_PIECES_H

#include <string.h>

#include "workers/jobs/table/csv.h"

/* Bytes that come in pieces of step, or all together (0). */
struct pieces {
    const char *at;
    size_t left, step;
};

static inline ssize_t read_piece(void *context, char *at, size_t room) {
    struct pieces *p = context;
    size_t n = p->left < room ? p->left : room;
    if (p->step && n > p->step) n = p->step;
    if (n > 0) memcpy(at, p->at, n);
    p->at += n;
    p->left -= n;
    return (ssize_t)n;
}

#endif
