/* What must hold of a server before it is used: a table whose rows are a condition and a sentence for the operator.
 * The sentence names the setting and what would be right. The tables are core/store/pg/check.c and
 * core/store/redis/check.c. Both are checked at each new connection, because another server may be behind the same
 * address. */
#ifndef ROOKERY_CORE_BASE_SERVER_CHECK_H
#define ROOKERY_CORE_BASE_SERVER_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/log.h"

struct server_check {
    /* LOG_INFO: every promise holds. LOG_WARN: a promise fails in the case that the sentence names. LOG_ERROR: the
     * server is refused. */
    enum log_level level;
    bool (*is_broken)(const void *facts); /* false for facts that the server did not report */
    const char *sentence;
};

/* Checks the table (32 rows at most). Returns NULL, or the sentence of the first row that refuses the server. Each
 * sentence is logged once as long as its row stays broken; *logged, 0 at first, marks the rows whose sentence has
 * been logged. */
const char *server_check(const struct server_check *table, size_t n, const void *facts, unsigned *logged,
                         struct log *log);

#endif
