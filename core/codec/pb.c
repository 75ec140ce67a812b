/* Protobuf in and out: protobuf-c behind guards.
 *
 * Decoding a stranger's bytes:
 *   1. scan_message() walks the bytes along the descriptor and changes nothing. It ends at the first thing that does
 *      not fit.
 *   2. If it met fields we do not know, copy_known() writes the message again without them, since protobuf-c would
 *      keep each in an allocation of its own. So a newer client's fields cost one copy, and a hostile megabyte of
 *      them costs no more.
 *   3. protobuf-c decodes into the arena, with the arena's limit.
 * Failures: 1 gives INTERNAL (not such a message) or RESOURCE_EXHAUSTED (too many fields); the arena's limit
 * in 2 and 3 gives RESOURCE_EXHAUSTED; protobuf-c's own refusal (a malformed packed array) gives INTERNAL.
 */
#include <assert.h>
#include <string.h>

#include "core/codec/codec.h"
#include "core/codec/wire.h"

/* copy_known() writes the length of a submessage in this many bytes, padded, before it knows the length. */
#define PADDED_LENGTH_BYTES 5

struct scan {
    const ProtobufCMessageDescriptor *root;
    struct fault *fault;
    size_t fields, unknown, submessages;
};

static enum error refuse(const struct scan *s, const char *where, const char *why) {
    return fault_set(s->fault, ERR_INTERNAL, "these bytes are not a %s: %s %s", s->root->name, where, why);
}

static enum wire_type wire_type_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
    }
}

/* Repeated numbers may come one by one or packed; protobuf-c takes either. */
static bool wire_type_fits(const ProtobufCFieldDescriptor *f, enum wire_type type) {
    return type == wire_type_of(f->type) || (type == WIRE_BYTES && f->label == PROTOBUF_C_LABEL_REPEATED);
}

static enum error scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, struct str bytes,
                               int depth);

static enum error scan_known(struct scan *s, const ProtobufCFieldDescriptor *f, const struct wire_field *w,
                             int depth) {
    if (!wire_type_fits(f, w->type)) return refuse(s, f->name, "has the wrong wire type");
    if (f->type == PROTOBUF_C_TYPE_STRING && !str_is_utf8(w->payload))
        return refuse(s, f->name, "is not UTF-8 without U+0000");
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) return ERR_OK;
    s->submessages++;
    if (depth == CODEC_MAX_DEPTH) return refuse(s, f->name, "is nested too deep");
    return scan_message(s, f->descriptor, w->payload, depth + 1);
}

static enum error scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, struct str bytes,
                               int depth) {
    while (bytes.len > 0) {
        struct wire_field w;
        if (!wire_next(&bytes, &w)) return refuse(s, type->name, "is cut off or malformed");
        if (++s->fields > CODEC_MAX_FIELDS)
            return fault_set(s->fault, ERR_RESOURCE_EXHAUSTED, "the message has more than %d fields",
                             CODEC_MAX_FIELDS);
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(type, w.number);
        if (f == NULL) {
            s->unknown++;
            continue;
        }
        enum error e = scan_known(s, f, &w, depth);
        if (e) return e;
    }
    return ERR_OK;
}

static char *put(char *out, const char *from, size_t len) {
    memcpy(out, from, len);
    return out + len;
}

static char *put_tag(char *out, uint32_t number, enum wire_type type) {
    uint32_t tag = number << 3 | (uint32_t)type;
    for (; tag >= 0x80; tag >>= 7) *out++ = (char)((tag & 0x7f) | 0x80);
    *out++ = (char)tag;
    return out;
}

static void put_padded_length(char *out, size_t len) {
    for (int i = 0; i < PADDED_LENGTH_BYTES; i++, len >>= 7)
        out[i] = (char)((len & 0x7f) | (i < PADDED_LENGTH_BYTES - 1 ? 0x80 : 0));
}

/* Writes the scanned message without its unknown fields; returns the end of it. */
static char *copy_known(char *out, const ProtobufCMessageDescriptor *type, struct str bytes) {
    struct wire_field w;
    while (bytes.len > 0 && wire_next(&bytes, &w)) {
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(type, w.number);
        if (f == NULL) continue;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            out = put(out, w.whole.ptr, w.whole.len);
            continue;
        }
        char *length = put_tag(out, w.number, w.type);
        out = copy_known(length + PADDED_LENGTH_BYTES, f->descriptor, w.payload);
        put_padded_length(length, (size_t)(out - length) - PADDED_LENGTH_BYTES);
    }
    return out;
}

/* *bytes without the unknown fields: false when the arena is full. */
static bool drop_unknown(const struct scan *s, struct str *bytes, struct arena *a) {
    if (s->unknown == 0) return true;
    char *out = arena_try_alloc(a, bytes->len + s->submessages * PADDED_LENGTH_BYTES);
    if (out == NULL) return false;
    char *end = copy_known(out, s->root, *bytes);
    *bytes = (struct str){out, (size_t)(end - out)};
    return true;
}

struct bounded {
    struct arena *arena;
    bool full;
};

static void *bounded_alloc(void *data, size_t size) {
    struct bounded *b = data;
    void *p = arena_try_alloc(b->arena, size);
    if (p == NULL) b->full = true;
    return p;
}

static void bounded_free(void *data, void *p) {
    (void)data;
    (void)p;
}

ProtobufCMessage *pb_decode(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *a,
                            struct fault *fault) {
    struct scan s = {.root = type, .fault = fault};
    if (scan_message(&s, type, bytes, 1)) return NULL;
    struct bounded b = {.arena = a};
    ProtobufCAllocator allocator = {bounded_alloc, bounded_free, &b};
    ProtobufCMessage *m = NULL;
    b.full = !drop_unknown(&s, &bytes, a);
    if (!b.full) m = protobuf_c_message_unpack(type, &allocator, bytes.len, (const uint8_t *)bytes.ptr);
    if (b.full)
        fault_set(fault, ERR_RESOURCE_EXHAUSTED, "the message needs more memory than a call may have");
    else if (m == NULL)
        refuse(&s, "a repeated field", "is malformed");
    return b.full ? NULL : m;
}

void pb_encode(const ProtobufCMessage *m, struct buf *out) {
    size_t len = protobuf_c_message_get_packed_size(m);
    char *p = buf_reserve(out, len);
    size_t written = protobuf_c_message_pack(m, (uint8_t *)p);
    assert(written == len);
    out->len += len;
}

struct str pb_encode_arena(const ProtobufCMessage *m, struct arena *a) {
    size_t len = protobuf_c_message_get_packed_size(m);
    char *p = arena_alloc(a, len);
    size_t written = protobuf_c_message_pack(m, (uint8_t *)p);
    assert(written == len);
    return (struct str){p, len};
}
