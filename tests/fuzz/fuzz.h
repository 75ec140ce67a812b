/* What a fuzz target provides. libFuzzer calls the first; replay.c, which lets the ordinary test suite run a
 * target without libFuzzer, also wants something to start from.
 */
#ifndef ROOKERY_TESTS_FUZZ_FUZZ_H
#define ROOKERY_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/str.h"

/* Returns 0; aborts when a promise is broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends the i-th well-formed input; false past the last. */
bool fuzz_seed(size_t i, struct buf *out);

#endif
