/* The embedded descriptor set: every proto file the binaries speak, for reflection and lint.
 *
 * build/proto/descriptors.bin (protoc --include_imports) is linked in with .incbin and indexed once at start.
 */
#ifndef ROOKERY_CORE_CODEC_DESCRIPTORS_H
#define ROOKERY_CORE_CODEC_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/str.h"

struct arena;
struct descriptors;

/* Indexes the embedded set. Returns NULL on allocation failure. */
struct descriptors *descriptors_load(void);
void descriptors_free(struct descriptors *d);

/* The serialized FileDescriptorProto of a file ("rookery/v1/post.proto"). Returns false when unknown. Slices, here
 * and below, live as long as d. */
bool descriptors_file(const struct descriptors *d, struct str filename, struct str *out);
/* The name of the file that defines a symbol (service, method, message, enum, nested ones; no leading dot). */
bool descriptors_file_of_symbol(const struct descriptors *d, struct str symbol, struct str *filename);
/* The serialized file and everything it imports, transitively, dependencies first: an array in the arena. Returns how
 * many; 0 when the file is unknown. */
size_t descriptors_closure(const struct descriptors *d, struct str filename, struct arena *a,
                           struct str **out);
/* The i-th service's full name; false past the end. */
bool descriptors_service(const struct descriptors *d, size_t i, struct str *name);
/* The i-th extension: the message it extends, its field number, and the file that defines it; false past the end. */
bool descriptors_extension(const struct descriptors *d, size_t i, struct str *type, int32_t *number,
                           struct str *filename);

#endif
