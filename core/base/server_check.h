/* What must hold of a server before it is used: a table, each row a condition and a sentence for the operator, which names the
 * setting and what would be right. PostgreSQL's is core/store/pg/check.c, Redis's core/store/redis/check.c; both are gone through at each new
 * connection, because another server may be behind the same address. */
#ifndef ROOKERY_CORE_BASE_SERVER_CHECK_H
#define ROOKERY_CORE_BASE_SERVER_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/log.h"

struct server_check {
    /* LOG_INFO: all that is promised holds; LOG_WARN: not in the case that the sentence names; LOG_ERROR: the server is refused */
    enum log_level level;
    bool (*is_broken)(const void *facts); /* what the server did not say is not held against it */
    const char *sentence;
};

/* Goes through the table (32 rows at most): NULL, or the sentence of the first row that refuses the server. Each
 * sentence is logged once while its row stays broken; said, 0 at first, is the memory of that. */
const char *server_check(const struct server_check *table, size_t n, const void *facts, unsigned *said,
                         struct log *log);

#endif
