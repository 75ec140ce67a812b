/* What both directions of ProtoJSON share: field names, timestamps and durations, and how messages are laid out in
 * memory.
 *
 * Sources: the ProtoJSON chapter of the Protocol Buffers documentation; RFC 3339; the comments of
 * google/protobuf/timestamp.proto and duration.proto.
 */
#ifndef ROOKERY_CORE_CODEC_JSON_TEXT_H
#define ROOKERY_CORE_CODEC_JSON_TEXT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/str.h"

/* Room for the longest field name and its NUL (scripts/check-protos). */
#define JSON_NAME_MAX 64

/* "reply_to_id" -> "replyToId". */
void json_name(const char *proto_name, char out[static JSON_NAME_MAX]);

/* The JSON name of the field that is likely meant by a key which names none. Returns false when none is near. */
bool json_nearest_name(const ProtobufCMessageDescriptor *type, const char *key,
                       char out[static JSON_NAME_MAX]);

/* The stride of a repeated field's array. */
size_t json_element_size(ProtobufCType type);

/* "2026-03-01T12:00:00.5+02:00", from year 1 to 9999; seconds since 1970 and 0..999,999,999 ns. Returns false and
 * leaves both for anything else (leap seconds and lower-case letters too). */
bool json_parse_timestamp(struct str s, int64_t *seconds, int32_t *nanos);
/* "-1.5s", within 10,000 years; both parts have the sign. */
bool json_parse_duration(struct str s, int64_t *seconds, int32_t *nanos);

/* Append with quotes and 0, 3, 6 or 9 decimals. */
void json_write_timestamp(struct buf *out, int64_t seconds, int32_t nanos);
void json_write_duration(struct buf *out, int64_t seconds, int32_t nanos);

#endif
