/* Message codecs: protobuf with guards, and ProtoJSON. Pure functions over arenas; nothing suspends.
 *
 * Decoding is where a stranger's bytes become structs, so it is fenced (protobuf-c itself has no depth limit,
 * no UTF-8 check, and amplifies memory): a wire pre-scan driven by the descriptor refuses depth > 32, more
 * than 65,536 fields, strings that are not UTF-8 or hold U+0000, and wire types that do not fit; unknown
 * fields are skipped in the scan and dropped; protobuf-c then decodes into the arena, whose limit bounds the
 * rest.
 */
#ifndef ROOKERY_CORE_NET_CODEC_H
#define ROOKERY_CORE_NET_CODEC_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/str.h"

/* bytes -> message in the arena (never call free_unpacked). NULL with *fault: ERR_INTERNAL for bytes that are
 * not a message of this type (what gRPC asks for), ERR_RESOURCE_EXHAUSTED when the arena's limit is passed.
 */
ProtobufCMessage *pb_decode(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *a,
                            struct fault *fault);

/* Appends the encoded message. */
void pb_encode(const ProtobufCMessage *m, struct buf *out);
struct str pb_encode_arena(const ProtobufCMessage *m, struct arena *a);

/* ProtoJSON (the canonical mapping): lowerCamelCase names out, both spellings in; int64 as strings out,
 * numbers or strings in; enums by name out, names or numbers in; bytes standard base64 out, either alphabet
 * in; null is unset; defaults omitted out; google.protobuf.Timestamp as RFC 3339 with Z, Duration as "1.5s";
 * maps; oneofs (two members set is an error); unknown fields ignored; NaN and infinities as strings. Depth at
 * most 32. Decode errors are ERR_INVALID_ARGUMENT with the field's path and what would be right. An empty
 * body is {}. */
ProtobufCMessage *json_decode(const ProtobufCMessageDescriptor *type, struct str text, struct arena *a,
                              struct fault *fault);
/* One line, no blanks. Invalid UTF-8 cannot occur in our own messages (asserted). */
void json_encode(const ProtobufCMessage *m, struct buf *out);
/* A JSON string literal with its quotes. */
void json_write_string(struct buf *out, struct str s);

#endif
