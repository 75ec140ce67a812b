/* A bounded table of numbers by key, such as the states of rates by account. Each key has the same number of rows; a
 * new key's are 0. When the table is full, the key that was used least recently makes room: its rates are then as after
 * a long pause. So a peer that can have many keys should be bounded by a key around them first (network_around).
 *
 * Keys may be chosen by peers: the hash is seeded. Memory is taken as keys come, about 24 + 8 * rows bytes each.
 */
#ifndef ROOKERY_CORE_LIMIT_TABLE_H
#define ROOKERY_CORE_LIMIT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define LIMIT_KEYS 65536 /* for most tables */

struct limit_table;

/* Returns NULL on allocation failure. */
struct limit_table *limit_table_new(size_t max_keys, size_t rows);
void limit_table_free(struct limit_table *t);
size_t limit_table_len(const struct limit_table *t);

/* The rows of a key, which is now the one used last. Good until the next call. */
int64_t *limit_table_use(struct limit_table *t, uint64_t key);
/* The same without adding the key; NULL when it is not there. */
int64_t *limit_table_find(struct limit_table *t, uint64_t key);
void limit_table_remove(struct limit_table *t, uint64_t key);

#endif
