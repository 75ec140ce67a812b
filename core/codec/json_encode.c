/* Messages to ProtoJSON, straight into the caller's buffer, along protobuf-c's descriptors. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/codec/codec.h"
#include "core/codec/json_text.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

/* ---- strings */

/* The length of the well-formed UTF-8 sequence s begins with, 0 when it does not. s is not empty. */
static size_t utf8_len(struct str s) {
    unsigned char c = (unsigned char)s.ptr[0];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c == 0) return 1;
    return len <= s.len && str_is_utf8((struct str){s.ptr, len}) ? len : 0;
}

/* The escape of a byte that a string may not hold as it is; NULL when it may. */
static const char *escape_of(char c, char room[static 7]) {
    switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    }
    if ((unsigned char)c >= 0x20 && c != 0x7f) return NULL;
    snprintf(room, 7, "\\u%04x", (unsigned)c);
    return room;
}

static size_t plain_prefix(struct str s) {
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= 0x20 && s.ptr[n] < 0x7f && s.ptr[n] != '"' && s.ptr[n] != '\\') n++;
    return n;
}

void json_write_string(struct buf *out, struct str s) {
    buf_append_char(out, '"');
    while (s.len > 0) {
        char room[7];
        const char *escape = escape_of(s.ptr[0], room);
        size_t len = plain_prefix(s);
        if (len == 0) len = utf8_len(s);
        if (len == 0)
            buf_append_cstr(out, "\xef\xbf\xbd");
        else if (escape)
            buf_append_cstr(out, escape);
        else
            buf_append(out, s.ptr, len);
        s.ptr += len ? len : 1;
        s.len -= len ? len : 1;
    }
    buf_append_char(out, '"');
}

static void write_bytes(struct buf *out, const ProtobufCBinaryData *bytes) {
    struct arena scratch;
    arena_init(&scratch, 0);
    struct str text = base64_encode(&scratch, (struct str){(const char *)bytes->data, bytes->len}, false);
    buf_append_char(out, '"');
    buf_append_str(out, text);
    for (size_t n = text.len; n % 4 != 0; n++) buf_append_char(out, '=');
    buf_append_char(out, '"');
    arena_free(&scratch);
}

/* ---- numbers */

/* Writes the values that JSON lacks, and zero, whose sign would be lost without the fraction. Returns whether v was
 * one of these. */
static bool write_special(struct buf *out, double v) {
    if (isfinite(v) && v != 0) return false;
    if (v == 0)
        buf_append_cstr(out, signbit(v) ? "-0.0" : "0");
    else
        buf_append_cstr(out, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return true;
}

/* With no more digits than it takes to give the same value back (but for the smallest, denormal ones). */
static void write_double(struct buf *out, double v) {
    char text[32];
    if (write_special(out, v)) return;
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    buf_append_cstr(out, text);
}

static void write_float(struct buf *out, float v) {
    char text[32];
    if (write_special(out, (double)v)) return;
    for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    buf_append_cstr(out, text);
}

/* As a string: JavaScript's numbers end at 2^53. */
static void write_quoted_i64(struct buf *out, int64_t v) {
    buf_append_char(out, '"');
    buf_append_i64(out, v);
    buf_append_char(out, '"');
}

static void write_enum(struct buf *out, const ProtobufCEnumDescriptor *type, int v) {
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, v);
    if (value)
        json_write_string(out, str_from(value->name));
    else
        buf_append_i64(out, v);
}

/* ---- values, fields, messages */

static void write_value(struct buf *out, const ProtobufCFieldDescriptor *f, const void *v) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: buf_append_i64(out, *(const int32_t *)v); break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: buf_append_i64(out, *(const uint32_t *)v); break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: write_quoted_i64(out, *(const int64_t *)v); break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_printf(out, "\"%llu\"", (unsigned long long)*(const uint64_t *)v);
        break;
    case PROTOBUF_C_TYPE_FLOAT: write_float(out, *(const float *)v); break;
    case PROTOBUF_C_TYPE_DOUBLE: write_double(out, *(const double *)v); break;
    case PROTOBUF_C_TYPE_BOOL: buf_append_cstr(out, *(const protobuf_c_boolean *)v ? "true" : "false"); break;
    case PROTOBUF_C_TYPE_ENUM: write_enum(out, f->descriptor, *(const int *)v); break;
    case PROTOBUF_C_TYPE_STRING: json_write_string(out, str_from(*(char *const *)v)); break;
    case PROTOBUF_C_TYPE_BYTES: write_bytes(out, v); break;
    case PROTOBUF_C_TYPE_MESSAGE: json_encode(*(ProtobufCMessage *const *)v, out); break;
    }
}

static bool is_default(const ProtobufCFieldDescriptor *f, const void *v) {
    const char *text;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: text = *(char *const *)v; return text == NULL || *text == '\0';
    case PROTOBUF_C_TYPE_BYTES: return ((const ProtobufCBinaryData *)v)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE: return *(ProtobufCMessage *const *)v == NULL;
    case PROTOBUF_C_TYPE_DOUBLE: return *(const double *)v == 0;
    case PROTOBUF_C_TYPE_FLOAT: return *(const float *)v == 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return *(const uint64_t *)v == 0;
    default: return *(const uint32_t *)v == 0;
    }
}

static size_t element_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f) {
    return *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
}

static bool is_present(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f) {
    const char *base = (const char *)m;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) return element_count(m, f) > 0;
    bool is_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (is_oneof && *(const uint32_t *)(const void *)(base + f->quantifier_offset) != f->id) return false;
    return (is_oneof && f->type != PROTOBUF_C_TYPE_MESSAGE) || !is_default(f, base + f->offset);
}

static void write_array(struct buf *out, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f) {
    const char *element = *(const char *const *)(const void *)((const char *)m + f->offset);
    size_t n = element_count(m, f), size = json_element_size(f->type);
    buf_append_char(out, '[');
    for (size_t i = 0; i < n; i++, element += size) {
        if (i > 0) buf_append_char(out, ',');
        write_value(out, f, element);
    }
    buf_append_char(out, ']');
}

static void write_field(struct buf *out, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f) {
    char name[JSON_NAME_MAX];
    json_name(f->name, name);
    buf_append_char(out, '"');
    buf_append_cstr(out, name);
    buf_append_cstr(out, "\":");
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        write_array(out, m, f);
    else
        write_value(out, f, (const char *)m + f->offset);
}

static void write_object(struct buf *out, const ProtobufCMessage *m) {
    bool first = true;
    buf_append_char(out, '{');
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (!is_present(m, f)) continue;
        if (!first) buf_append_char(out, ',');
        first = false;
        write_field(out, m, f);
    }
    buf_append_char(out, '}');
}

void json_encode(const ProtobufCMessage *m, struct buf *out) {
    if (m->descriptor == &google__protobuf__timestamp__descriptor) {
        const Google__Protobuf__Timestamp *t = (const void *)m;
        json_write_timestamp(out, t->seconds, t->nanos);
    } else if (m->descriptor == &google__protobuf__duration__descriptor) {
        const Google__Protobuf__Duration *d = (const void *)m;
        json_write_duration(out, d->seconds, d->nanos);
    } else {
        write_object(out, m);
    }
}
