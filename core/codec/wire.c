/* The protobuf wire format: see wire.h. */
#include "core/codec/wire.h"

#include <string.h>

static void skip(struct str *s, size_t n) {
    s->ptr += n;
    s->len -= n;
}

/* A base-128 number of at most max_bytes bytes; the bits past 64 are dropped, as every parser does. */
static bool cut_varint(struct str *rest, size_t max_bytes, uint64_t *out) {
    uint64_t v = 0;
    for (size_t i = 0; i < max_bytes && i < rest->len; i++) {
        uint8_t byte = (uint8_t)rest->ptr[i];
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        skip(rest, i + 1);
        *out = v;
        return true;
    }
    return false;
}

uint64_t wire_number(struct str payload) {
    uint64_t v;
    return cut_varint(&payload, 10, &v) ? v : 0;
}

static bool cut_tag(struct str *rest, uint32_t *number, enum wire_type *type) {
    uint64_t tag;
    if (!cut_varint(rest, 5, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return false;
    *number = (uint32_t)tag >> 3;
    *type = (enum wire_type)(tag & 7);
    return true;
}

/* How many bytes the payload of a field takes; for WIRE_BYTES the length in front of it is cut off first. */
static bool payload_len(struct str *rest, enum wire_type type, size_t *len) {
    struct str look = *rest;
    uint64_t n = 0;
    switch (type) {
    case WIRE_FIXED32: n = 4; break;
    case WIRE_FIXED64: n = 8; break;
    case WIRE_VARINT:
        if (!cut_varint(&look, 10, &n)) return false;
        n = rest->len - look.len;
        break;
    case WIRE_BYTES:
        if (!cut_varint(rest, 5, &n)) return false;
        break;
    default: return false;
    }
    *len = (size_t)n;
    return n <= rest->len;
}

/* The fields of a group and the tag of its end, behind the tag of its beginning. */
static bool skip_group(struct str *rest, uint32_t number) {
    uint32_t open[WIRE_MAX_GROUPS] = {number};
    size_t depth = 1, len;
    while (depth) {
        enum wire_type type;
        if (!cut_tag(rest, &number, &type)) return false;
        if (type == WIRE_GROUP) {
            if (depth == WIRE_MAX_GROUPS) return false;
            open[depth++] = number;
        } else if (type == WIRE_GROUP_END) {
            if (open[--depth] != number) return false;
        } else {
            if (!payload_len(rest, type, &len)) return false;
            skip(rest, len);
        }
    }
    return true;
}

bool wire_next(struct str *rest, struct wire_field *f) {
    const char *start = rest->ptr;
    size_t len;
    if (!cut_tag(rest, &f->number, &f->type)) return false;
    if (f->type == WIRE_GROUP) {
        struct str payload = *rest;
        if (!skip_group(rest, f->number)) return false;
        f->payload = (struct str){payload.ptr, payload.len - rest->len};
    } else {
        if (!payload_len(rest, f->type, &len)) return false;
        f->payload = (struct str){rest->ptr, len};
        skip(rest, len);
    }
    f->whole = (struct str){start, (size_t)(rest->ptr - start)};
    return true;
}

char *wire_put_bytes(char *p, uint32_t field, struct str bytes) {
    p = wire_put_length(p, field, bytes.len);
    if (bytes.len > 0) memcpy(p, bytes.ptr, bytes.len);
    return p + bytes.len;
}

void wire_append_bytes(struct buf *out, uint32_t field, struct str bytes) {
    char *start = buf_reserve(out, bytes.len + 2 * WIRE_FIELD_MAX);
    out->len += (size_t)(wire_put_bytes(start, field, bytes) - start);
}
