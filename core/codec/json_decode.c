/* ProtoJSON to messages.
 *
 *   1. check_shape() bounds depth and the number of values, since jansson builds its tree with malloc: at
 *      worst some 300 bytes for "{},", so CODEC_MAX_FIELDS values are at most 20 MB, gone again when the call
 *      returns.
 *   2. jansson parses: JSON grammar, UTF-8, no U+0000, no duplicate names.
 *   3. The tree is walked along the descriptor, and values are copied into the arena.
 * Any failure frees the tree and leaves the copies to the arena.
 */
#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/codec.h"
#include "core/codec/json_text.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

#define TWO_TO_53 9007199254740992.0
#define TWO_TO_64 18446744073709551616.0
#define FLOAT_MAX 0x1.fffffefffffffp127 /* the largest double that rounds to FLT_MAX and not to infinity */
#define NOT_AN_ELEMENT SIZE_MAX

struct reader {
    struct arena *arena;
    struct fault *fault;
    bool *snake;  /* set when a name is spelled as in the .proto files */
    bool rounded; /* whole numbers came as doubles: those beyond 2^53 may not be what was written */
};

/* Where we are, for the sentence of a fault: a chain up the C stack. */
struct place {
    const struct place *up; /* NULL at the root */
    const char *name;
    size_t index; /* NOT_AN_ELEMENT, or in the array */
};

/* ---- faults */

static void write_path(const struct place *at, struct buf *out) {
    if (at == NULL) return;
    write_path(at->up, out);
    if (out->len > 0) buf_append_char(out, '.');
    buf_append_cstr(out, at->name);
    if (at->index != NOT_AN_ELEMENT) buf_printf(out, "[%zu]", at->index);
}

/* The sentence begins with the path of the field: format goes on from there. */
static enum error refuse(const struct reader *r, const struct place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum error refuse(const struct reader *r, const struct place *at, const char *format, ...) {
    char text[sizeof r->fault->text];
    struct buf path;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_init(&path);
    write_path(at, &path);
    buf_append_char(&path, '\0');
    const char *subject = *path.ptr ? path.ptr : "the body";
    fault_field(r->fault, ERR_INVALID_ARGUMENT, path.ptr, "%s %s", subject, text);
    buf_free(&path);
    return ERR_INVALID_ARGUMENT;
}

static enum error refuse_memory(const struct reader *r) {
    return fault_set(r->fault, ERR_RESOURCE_EXHAUSTED, "the message needs more memory than a call may have");
}

static void *take_memory(const struct reader *r, size_t size) {
    void *p = arena_try_alloc(r->arena, size);
    if (p == NULL) refuse_memory(r);
    return p;
}

/* ---- numbers */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p) {
    while (is_digit(*p)) p++;
    return p;
}

/* Is s a number as JSON writes it? *whole: one without fraction and exponent. */
static bool is_json_number(const char *s, bool *whole) {
    *whole = true;
    if (*s == '-') s++;
    if (!is_digit(*s)) return false;
    s = *s == '0' ? s + 1 : skip_digits(s);
    if (*s == '.') {
        if (!is_digit(*++s)) return false;
        s = skip_digits(s);
        *whole = false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-') s++;
        if (!is_digit(*s)) return false;
        s = skip_digits(s);
        *whole = false;
    }
    return *s == '\0';
}

/* A whole number of any of the integer types. */
struct whole {
    bool negative;
    uint64_t magnitude;
};

static bool whole_from_double(double d, double limit, struct whole *out) {
    if (!(fabs(d) < limit) || d != trunc(d)) return false;
    *out = (struct whole){d < 0, (uint64_t)fabs(d)};
    return true;
}

static bool whole_from_digits(const char *s, struct whole *out) {
    out->negative = *s == '-';
    errno = 0;
    out->magnitude = strtoull(out->negative ? s + 1 : s, NULL, 10);
    return errno == 0;
}

static bool read_whole(const struct reader *r, const json_t *v, struct whole *out) {
    bool has_only_digits;
    if (json_is_integer(v)) {
        int64_t i = json_integer_value(v);
        *out = (struct whole){i < 0, i < 0 ? 0 - (uint64_t)i : (uint64_t)i};
        return true;
    }
    if (json_is_real(v))
        return whole_from_double(json_real_value(v), r->rounded ? TWO_TO_53 : TWO_TO_64, out);
    const char *text = json_string_value(v);
    if (text == NULL || !is_json_number(text, &has_only_digits)) return false;
    return has_only_digits ? whole_from_digits(text, out)
                           : whole_from_double(strtod(text, NULL), TWO_TO_64, out);
}

static enum error decode_signed(const struct reader *r, const struct place *at, const json_t *v, int64_t max,
                                int64_t *out) {
    struct whole n;
    if (!read_whole(r, v, &n) || n.magnitude > (uint64_t)max + n.negative)
        return refuse(r, at, "must be a whole number from %lld to %lld%s", -(long long)max - 1,
                      (long long)max, r->rounded ? ", in quotes when it is beyond 2^53" : "");
    *out = (int64_t)(n.negative ? 0 - n.magnitude : n.magnitude);
    return ERR_OK;
}

static enum error decode_unsigned(const struct reader *r, const struct place *at, const json_t *v,
                                  uint64_t max, uint64_t *out) {
    struct whole n;
    if (!read_whole(r, v, &n) || n.magnitude > max || (n.negative && n.magnitude > 0))
        return refuse(r, at, "must be a whole number from 0 to %llu%s", (unsigned long long)max,
                      r->rounded || max > INT64_MAX ? ", in quotes when it is beyond 2^53" : "");
    *out = n.magnitude;
    return ERR_OK;
}

static bool read_double(const json_t *v, double *out) {
    bool whole;
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return true;
    }
    const char *text = json_string_value(v);
    if (text == NULL) return false;
    if (strcmp(text, "NaN") == 0)
        *out = (double)NAN;
    else if (strcmp(text, "Infinity") == 0)
        *out = HUGE_VAL;
    else if (strcmp(text, "-Infinity") == 0)
        *out = -HUGE_VAL;
    else
        return is_json_number(text, &whole) && isfinite(*out = strtod(text, NULL));
    return true;
}

/* max: the largest finite value the field can hold. */
static enum error decode_double(const struct reader *r, const struct place *at, const json_t *v, double max,
                                double *out) {
    if (!read_double(v, out) || (isfinite(*out) && fabs(*out) > max))
        return refuse(r, at, "must be a number of at most %g, \"NaN\", \"Infinity\" or \"-Infinity\"", max);
    return ERR_OK;
}

/* ---- the other scalars */

static enum error decode_enum(const struct reader *r, const struct place *at, const json_t *v,
                              const ProtobufCEnumDescriptor *type, int *out) {
    int64_t number;
    if (!json_is_string(v)) {
        if (!json_is_number(v) || decode_signed(r, at, v, INT32_MAX, &number))
            return refuse(r, at, "must be the name or the number of a %s", type->short_name);
        *out = (int)number;
        return ERR_OK;
    }
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(type, json_string_value(v));
    if (value == NULL)
        return refuse(r, at, "must be the name of a %s, as %s", type->short_name,
                      type->values[type->n_values - 1].name);
    *out = value->value;
    return ERR_OK;
}

static enum error decode_string(const struct reader *r, const struct place *at, const json_t *v, char **out) {
    if (!json_is_string(v)) return refuse(r, at, "must be a string");
    size_t size = json_string_length(v) + 1;
    char *copy = take_memory(r, size);
    if (copy == NULL) return ERR_RESOURCE_EXHAUSTED;
    *out = memcpy(copy, json_string_value(v), size);
    return ERR_OK;
}

static enum error decode_bytes(const struct reader *r, const struct place *at, const json_t *v,
                               ProtobufCBinaryData *out) {
    struct str bytes;
    struct str text = {json_string_value(v), json_string_length(v)};
    /* Looked at first, since base64_decode() does not say whether it was the text or the arena. */
    if (r->arena->limit - r->arena->used < text.len + 64) return refuse_memory(r);
    if (!json_is_string(v) || !base64_decode(r->arena, text, &bytes)) return refuse(r, at, "must be base64");
    out->data = (uint8_t *)(uintptr_t)bytes.ptr;
    out->len = bytes.len;
    return ERR_OK;
}

/* ---- values, fields, messages */

static enum error decode_message(const struct reader *r, const struct place *at, const json_t *v,
                                 const ProtobufCMessageDescriptor *type, ProtobufCMessage **out);

static enum error decode_narrow(const struct reader *r, const struct place *at,
                                const ProtobufCFieldDescriptor *f, const json_t *v, void *out) {
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    enum error e;
    switch (f->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        e = decode_double(r, at, v, FLOAT_MAX, &d);
        *(float *)out = (float)d;
        return e;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        e = decode_unsigned(r, at, v, UINT32_MAX, &u);
        *(uint32_t *)out = (uint32_t)u;
        return e;
    default:
        e = decode_signed(r, at, v, INT32_MAX, &i);
        *(int32_t *)out = (int32_t)i;
        return e;
    }
}

static enum error decode_value(const struct reader *r, const struct place *at,
                               const ProtobufCFieldDescriptor *f, const json_t *v, void *out) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return decode_narrow(r, at, f, v, out);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: return decode_signed(r, at, v, INT64_MAX, out);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: return decode_unsigned(r, at, v, UINT64_MAX, out);
    case PROTOBUF_C_TYPE_DOUBLE: return decode_double(r, at, v, DBL_MAX, out);
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(v)) return refuse(r, at, "must be true or false");
        *(protobuf_c_boolean *)out = json_is_true(v);
        return ERR_OK;
    case PROTOBUF_C_TYPE_ENUM: return decode_enum(r, at, v, f->descriptor, out);
    case PROTOBUF_C_TYPE_STRING: return decode_string(r, at, v, out);
    case PROTOBUF_C_TYPE_BYTES: return decode_bytes(r, at, v, out);
    case PROTOBUF_C_TYPE_MESSAGE: return decode_message(r, at, v, f->descriptor, out);
    }
    return ERR_INTERNAL;
}

static enum error decode_array(const struct reader *r, struct place *at, const ProtobufCFieldDescriptor *f,
                               const json_t *v, ProtobufCMessage *m) {
    if (!json_is_array(v)) return refuse(r, at, "must be an array");
    size_t n = json_array_size(v), size = json_element_size(f->type);
    if (n == 0) return ERR_OK;
    char *elements = take_memory(r, n * size);
    if (elements == NULL) return ERR_RESOURCE_EXHAUSTED;
    memset(elements, 0, n * size);
    for (at->index = 0; at->index < n; at->index++) {
        enum error e = decode_value(r, at, f, json_array_get(v, at->index), elements + at->index * size);
        if (e) return e;
    }
    memcpy((char *)m + f->offset, &elements, sizeof elements);
    memcpy((char *)m + f->quantifier_offset, &n, sizeof n);
    return ERR_OK;
}

static enum error decode_oneof(const struct reader *r, const struct place *at,
                               const ProtobufCFieldDescriptor *f, const json_t *v, ProtobufCMessage *m) {
    uint32_t *which = (uint32_t *)(void *)((char *)m + f->quantifier_offset);
    if (*which != 0) {
        const char *other = protobuf_c_message_descriptor_get_field(m->descriptor, *which)->name;
        char name[JSON_NAME_MAX];
        json_name(other, name);
        return refuse(r, at, "must not be given together with %s", *r->snake ? other : name);
    }
    *which = f->id;
    return decode_value(r, at, f, v, (char *)m + f->offset);
}

static enum error decode_field(const struct reader *r, const struct place *up, const char *key,
                               const ProtobufCFieldDescriptor *f, const json_t *v, ProtobufCMessage *m) {
    struct place at = {up, key, NOT_AN_ELEMENT};
    if (strchr(key, '_')) *r->snake = true;
    if (json_is_null(v)) return ERR_OK;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) return decode_array(r, &at, f, v, m);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) return decode_oneof(r, &at, f, v, m);
    return decode_value(r, &at, f, v, (char *)m + f->offset);
}

/* By its JSON name or its own. */
static const ProtobufCFieldDescriptor *field_named(const ProtobufCMessageDescriptor *type, const char *key) {
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        char name[JSON_NAME_MAX];
        if (f->name[0] != key[0]) continue;
        json_name(f->name, name);
        if (strcmp(name, key) == 0 || strcmp(f->name, key) == 0) return f;
    }
    return NULL;
}

/* "pageSize, pageToken", as many as fit. */
static void list_names(const ProtobufCMessageDescriptor *type, struct buf *out) {
    for (unsigned i = 0; i < type->n_fields && out->len < 100; i++) {
        char name[JSON_NAME_MAX];
        json_name(type->fields[i].name, name);
        buf_printf(out, i > 0 ? ", %s" : "%s", name);
    }
    if (out->len == 0) buf_append_cstr(out, "no fields");
}

static enum error refuse_name(const struct reader *r, const struct place *up, const char *key,
                              const ProtobufCMessageDescriptor *type) {
    struct place at = {up, key, NOT_AN_ELEMENT};
    char name[JSON_NAME_MAX];
    if (strlen(key) >= JSON_NAME_MAX)
        return refuse(r, up, "has a name of %zu bytes, which is not a field of %s", strlen(key),
                      type->short_name);
    if (json_nearest_name(type, key, name))
        return refuse(r, &at, "is not a field of %s: did you mean %s?", type->short_name, name);
    struct buf names;
    buf_init(&names);
    list_names(type, &names);
    enum error e =
        refuse(r, &at, "is not a field of %s, which has %.*s", type->short_name, (int)names.len, names.ptr);
    buf_free(&names);
    return e;
}

static enum error decode_fields(const struct reader *r, const struct place *at, const json_t *object,
                                ProtobufCMessage *m) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const ProtobufCFieldDescriptor *f = field_named(m->descriptor, key);
        if (f == NULL) return refuse_name(r, at, key, m->descriptor);
        if (strcmp(key, f->name) != 0 && json_object_get(object, f->name))
            return refuse(r, &(struct place){at, f->name, NOT_AN_ELEMENT}, "is given twice, also as %s", key);
        enum error e = decode_field(r, at, key, f, value, m);
        if (e) return e;
    }
    return ERR_OK;
}

static enum error decode_timestamp(const struct reader *r, const struct place *at, const json_t *v,
                                   Google__Protobuf__Timestamp *out) {
    struct str text = {json_string_value(v), json_string_length(v)};
    if (json_parse_timestamp(text, &out->seconds, &out->nanos)) return ERR_OK;
    return refuse(r, at, "must be a time as \"2026-03-01T12:00:00Z\"");
}

static enum error decode_duration(const struct reader *r, const struct place *at, const json_t *v,
                                  Google__Protobuf__Duration *out) {
    struct str text = {json_string_value(v), json_string_length(v)};
    if (json_parse_duration(text, &out->seconds, &out->nanos)) return ERR_OK;
    return refuse(r, at, "must be a duration as \"1.5s\"");
}

static enum error decode_message(const struct reader *r, const struct place *at, const json_t *v,
                                 const ProtobufCMessageDescriptor *type, ProtobufCMessage **out) {
    ProtobufCMessage *m = take_memory(r, type->sizeof_message);
    if (m == NULL) return ERR_RESOURCE_EXHAUSTED;
    protobuf_c_message_init(type, m);
    *out = m;
    if (type == &google__protobuf__timestamp__descriptor) return decode_timestamp(r, at, v, (void *)m);
    if (type == &google__protobuf__duration__descriptor) return decode_duration(r, at, v, (void *)m);
    if (!json_is_object(v)) return refuse(r, at, "must be an object");
    return decode_fields(r, at, v, m);
}

/* ---- the text */

static size_t skip_string(struct str text, size_t i) {
    for (; i < text.len && text.ptr[i] != '"'; i++)
        if (text.ptr[i] == '\\') i++;
    return i;
}

static enum error check_shape(struct str text, struct fault *fault) {
    size_t depth = 0, values = 1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"') i = skip_string(text, i + 1);
        if ((c == '}' || c == ']') && depth > 0) depth--;
        if (c == '{' || c == '[') depth++;
        if (c == '{' || c == '[' || c == ',') values++;
        if (depth > CODEC_MAX_DEPTH)
            return fault_set(fault, ERR_INVALID_ARGUMENT, "the JSON is nested deeper than %d",
                             CODEC_MAX_DEPTH);
        if (values > CODEC_MAX_FIELDS)
            return fault_set(fault, ERR_RESOURCE_EXHAUSTED, "the JSON has more than %d values",
                             CODEC_MAX_FIELDS);
    }
    return ERR_OK;
}

/* jansson takes whole numbers as int64 and refuses larger ones, which a float field may have: then all of
 * them are read as doubles. */
static json_t *parse(struct str text, struct reader *r) {
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_error_t error;
    json_t *root = json_loadb(text.ptr, text.len, flags, &error);
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        r->rounded = true;
        root = json_loadb(text.ptr, text.len, flags | JSON_DECODE_INT_AS_REAL, &error);
    }
    if (root == NULL && json_error_code(&error) == json_error_null_character)
        fault_set(r->fault, ERR_INVALID_ARGUMENT, "line %d, column %d: a string must not hold U+0000",
                  error.line, error.column);
    else if (root == NULL)
        fault_set(r->fault, ERR_INVALID_ARGUMENT, "the body is not JSON: line %d, column %d: %s", error.line,
                  error.column, error.text);
    return root;
}

ProtobufCMessage *json_decode_spelled(const ProtobufCMessageDescriptor *type, struct str text,
                                      struct arena *a, bool *snake, struct fault *fault) {
    struct reader r = {.arena = a, .fault = fault, .snake = snake};
    ProtobufCMessage *m = NULL;
    *snake = false;
    if (str_trim(text).len == 0) text = STR("{}");
    if (check_shape(text, fault)) return NULL;
    json_t *root = parse(text, &r);
    if (root == NULL) return NULL;
    enum error e = decode_message(&r, NULL, root, type, &m);
    json_decref(root);
    return e ? NULL : m;
}

ProtobufCMessage *json_decode(const ProtobufCMessageDescriptor *type, struct str text, struct arena *a,
                              struct fault *fault) {
    bool snake;
    return json_decode_spelled(type, text, a, &snake, fault);
}
