/* Message codecs: protobuf with guards, and ProtoJSON. Pure functions over arenas; nothing suspends.
 *
 * Decoding turns a stranger's bytes into structs, so it is guarded: protobuf-c itself has no depth limit and no UTF-8
 * check, and amplifies memory. A pre-scan of the wire format along the descriptor refuses messages nested deeper than
 * CODEC_MAX_DEPTH, more than CODEC_MAX_FIELDS fields, strings that are not UTF-8 or hold U+0000, wire types that do
 * not fit. Unknown fields, groups too, are dropped. Then protobuf-c decodes into the arena, whose limit bounds the
 * rest. Decoding uses at most 64 KiB of stack.
 *
 * Types are proto3 without `optional`, maps and recursion: scripts/check-protos keeps ours so.
 */
#ifndef ROOKERY_CORE_CODEC_CODEC_H
#define ROOKERY_CORE_CODEC_CODEC_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"

/* Decoders recurse on a fiber's stack; our own messages nest four deep. */
#define CODEC_MAX_DEPTH 32
/* Fields of a message with all its submessages, or values of a JSON text. They amplify small input: two bytes can be
 * a field, and a field a struct. */
#define CODEC_MAX_FIELDS 65536

/* Decodes bytes into the arena (never call free_unpacked). Returns NULL with *fault: ERR_INTERNAL for bytes that are
 * not a message of this type (as gRPC asks), ERR_RESOURCE_EXHAUSTED when the arena's limit or CODEC_MAX_FIELDS is
 * passed. */
ProtobufCMessage *pb_decode(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *a,
                            struct fault *fault);

/* Appends the encoded message. */
void pb_encode(const ProtobufCMessage *m, struct buf *out);
struct str pb_encode_arena(const ProtobufCMessage *m, struct arena *a);

/* ProtoJSON (the canonical mapping): lowerCamelCase names out, both spellings in; int64 as strings out,
 * numbers or strings in; enums by name out, names or numbers in; bytes standard base64 out, either alphabet
 * in; null is unset; defaults omitted out, but submessages and oneof members that are set are printed;
 * google.protobuf.Timestamp as RFC 3339 with Z (any offset in), Duration as "1.5s"; oneofs (two members set
 * is an error); NaN and infinities as strings. A name that is not a field's is an error, with the nearest that is: a
 * person who writes "pagesize" must not get pages of another size.
 *
 * Decode errors are ERR_INVALID_ARGUMENT with the field's path, as it was written ("post.mentions[2].start"), and what
 * would be right;
 * ERR_RESOURCE_EXHAUSTED as above. A name may be given only once. An empty body is {}. Whole numbers beyond 2^63-1
 * must be strings (or go to a float field). In a text with such a number, those beyond 2^53 must be strings too. */
ProtobufCMessage *json_decode(const ProtobufCMessageDescriptor *type, struct str text, struct arena *a,
                              struct fault *fault);
/* The same. *snake: whether it has a name of several words in the spelling of the .proto files (page_size). */
ProtobufCMessage *json_decode_spelled(const ProtobufCMessageDescriptor *type, struct str text,
                                      struct arena *a, bool *snake, struct fault *fault);
/* Spells the fields of this type that the fault names (page_size) as JSON does (pageSize). */
void json_spell_fault(const ProtobufCMessageDescriptor *type, struct fault *fault);
/* One line, no blanks. A time outside its range becomes the nearest end of the range. */
void json_encode(const ProtobufCMessage *m, struct buf *out);
/* A JSON string literal with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void json_write_string(struct buf *out, struct str s);

#endif
