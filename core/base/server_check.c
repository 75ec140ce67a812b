/* Checks a server against a table. */
#include "core/base/server_check.h"

#include <assert.h>

const char *server_check(const struct server_check *table, size_t n, const void *facts, unsigned *logged,
                         struct log *log) {
    const char *refusal = NULL;
    assert(n <= 32);
    for (size_t i = 0; i < n; i++) {
        unsigned row = 1u << i;
        if (!table[i].is_broken(facts)) {
            *logged &= ~row;
            continue;
        }
        if (!(*logged & row)) log_write(log, table[i].level, table[i].sentence, LOG_FIELDS());
        *logged |= row;
        if (table[i].level == LOG_ERROR && !refusal) refusal = table[i].sentence;
    }
    return refusal;
}
