/* The rules for the texts of messages from strangers, by field: applied once, right behind decoding, before any
 * handler. What a handler is given is in its normal form, and nothing further in checks or normalises it again. */
#ifndef ROOKERY_CORE_TEXT_FIELDS_H
#define ROOKERY_CORE_TEXT_FIELDS_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/map.h"
#include "core/text/rule.h"

/* A line of the table: the field of this number, a string or bytes (whose form is TEXT_AS_IS), repeated or not. */
struct text_field {
    const ProtobufCMessageDescriptor *message;
    uint32_t number;
    struct text_rule rule;
};

struct text_fields {
    const struct text_field *table;
    size_t n;
    struct idmap plans; /* by message type: which of its fields to look at */
    struct arena arena; /* what these are in */
};

/* Borrows the table, in which a field is once at most. */
void text_fields_init(struct text_fields *f, const struct text_field *table, size_t n);
void text_fields_free(struct text_fields *f);
/* From here on messages of this type are looked at. No type may contain itself. */
void text_fields_add(struct text_fields *f, const ProtobufCMessageDescriptor *message);

/* The most bytes that a message of this type can need, in protobuf or JSON, by the rules for its texts and with some
 * room for fields of a newer API; 0 when a text has no rule, or a field may be repeated. */
size_t text_fields_most_bytes(const struct text_fields *f, const ProtobufCMessageDescriptor *message);

/* Puts the texts of the message, and of those it holds, in their normal forms; new ones are in the arena. A field
 * that is not there (a oneof's, a message's) is left alone; an empty text that is in no oneof is held against its
 * rule. A message whose type was not added, or has no text in the table, costs a look-up. 0, or ERR_INVALID_ARGUMENT
 * or ERR_RESOURCE_EXHAUSTED about the first text that is wrong, by its path ("header.name"); the message is then not
 * to be used. */
int text_fields_apply(const struct text_fields *f, ProtobufCMessage *m, struct arena *a, struct fault *fault);

#endif
