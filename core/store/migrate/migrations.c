/* The migrations of this binary: core/store/migrate/migrations/NNNN_name.sql, embedded at build time. The Makefile
 * writes MIGRATIONS_LIST, one MIGRATION(number, name, path) a line, in order. */
#include "core/store/migrate/migrate.h"

/* The assembler reads the file: a variable of its bytes and a final NUL. */
#define MIGRATION(number, name, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                                         \
            "rookery_migration_" #number ":\n"                                                               \
            ".incbin \"" path "\"\n"                                                                         \
            ".byte 0\n"                                                                                      \
            ".popsection");                                                                                  \
    extern const char rookery_migration_##number[] __attribute__((visibility("hidden")));
#include MIGRATIONS_LIST
#undef MIGRATION

static const struct migration table[] = {
#define MIGRATION(number, name, path) {number, name, rookery_migration_##number},
#include MIGRATIONS_LIST
#undef MIGRATION
};

const struct migration *migrations_all(size_t *n) {
    *n = sizeof table / sizeof table[0];
    return table;
}
