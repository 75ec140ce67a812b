/* Rules by field. For each message type that was added there is a plan: its fields that are texts with a rule, and
 * those that are messages with a plan of their own. Types without either have none. */
#include "core/text/fields.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define PATH_ROOM 128

struct step {
    const ProtobufCFieldDescriptor *field;
    const struct text_rule *rule; /* of a text; else NULL */
    const struct plan *inner;     /* of a message; else NULL */
};

struct plan {
    size_t n;
    struct step steps[];
};

/* ---- plans --------------------------------------------------------------------------------------------- */

/* Descriptors stay where they are. */
static int64_t key_of(const ProtobufCMessageDescriptor *message) {
    return (int64_t)(uintptr_t)message;
}

static const struct text_rule *rule_of(const struct text_fields *f, const ProtobufCMessageDescriptor *message,
                                       uint32_t number) {
    for (const struct text_field *t = f->table; t < f->table + f->n; t++)
        if (t->message == message && t->number == number) return &t->rule;
    return NULL;
}

static const struct plan *plan_of(const struct text_fields *f, const ProtobufCMessageDescriptor *message) {
    return idmap_get(&f->plans, key_of(message));
}

void text_fields_add(struct text_fields *f, const ProtobufCMessageDescriptor *message) {
    if (plan_of(f, message)) return;
    struct plan *plan = arena_alloc(&f->arena, sizeof *plan + message->n_fields * sizeof(struct step));
    plan->n = 0;
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        struct step step = {.field = field, .rule = rule_of(f, message, field->id)};
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            text_fields_add(f, field->descriptor);
            step.inner = plan_of(f, field->descriptor);
        }
        assert(!step.rule || field->type == PROTOBUF_C_TYPE_STRING || step.rule->form == TEXT_AS_IS);
        if (step.rule || step.inner) plan->steps[plan->n++] = step;
    }
    if (plan->n > 0) idmap_put(&f->plans, key_of(message), plan);
}

void text_fields_init(struct text_fields *f, const struct text_field *table, size_t n) {
    *f = (struct text_fields){.table = table, .n = n};
    idmap_init(&f->plans);
    arena_init(&f->arena, 0);
}

void text_fields_free(struct text_fields *f) {
    idmap_free(&f->plans);
    arena_free(&f->arena);
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

enum {
    NEWER_BYTES = 1024, /* for fields that this release does not know */
    FIELD_BYTES = 64,   /* a number, a time, or what stands around a text; its name is added */
    JSON_TIMES = 6      /* a byte as \u0041 */
};

static size_t text_bytes(const struct text_rule *rule) {
    if (rule->form == TEXT_AS_IS) return rule->max_bytes;
    if (rule->form == TEXT_HANDLE) return rule->max_characters;
    if (rule->max_bytes > 0) return 2 * (size_t)rule->max_bytes; /* before it is composed */
    return (size_t)rule->max_characters * TEXT_SENT_CHARACTER_BYTES;
}

/* 0: no bound. */
static size_t field_bytes(const struct text_fields *f, const ProtobufCMessageDescriptor *message,
                          const ProtobufCFieldDescriptor *field) {
    size_t bytes = FIELD_BYTES + 2 * strlen(field->name);
    const struct text_rule *rule = rule_of(f, message, field->id);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) return 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        size_t inner = text_fields_most_bytes(f, field->descriptor);
        return inner ? bytes + inner : 0;
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES) return bytes;
    return rule ? bytes + JSON_TIMES * text_bytes(rule) : 0;
}

size_t text_fields_most_bytes(const struct text_fields *f, const ProtobufCMessageDescriptor *message) {
    size_t sum = NEWER_BYTES;
    for (unsigned i = 0; i < message->n_fields; i++) {
        size_t bytes = field_bytes(f, message, &message->fields[i]);
        if (bytes == 0) return 0;
        sum += bytes;
    }
    return sum;
}

/* ---- walking ------------------------------------------------------------------------------------------- */

/* Where the walk stands: the field, and the one its message is in. */
struct place {
    const struct place *outer;
    const ProtobufCFieldDescriptor *field;
};

struct walk {
    struct arena *arena;
    struct fault *fault;
};

static size_t write_path(const struct place *p, char out[static PATH_ROOM]) {
    size_t n = p->outer ? write_path(p->outer, out) : 0;
    int more = snprintf(out + n, PATH_ROOM - n, n > 0 ? ".%s" : "%s", p->field->name);
    return n + (size_t)more < PATH_ROOM ? n + (size_t)more : PATH_ROOM - 1;
}

static enum error refuse(const struct walk *w, const struct place *p, enum error e, const char *why) {
    char path[PATH_ROOM];
    write_path(p, path);
    return fault_field(w->fault, e, path, "%s %s", path, why);
}

static enum error apply_to_text(const struct walk *w, const struct place *p, const struct text_rule *rule,
                                char **text) {
    struct str out;
    const char *why;
    enum error e = text_rule_apply(rule, w->arena, str_from(*text), &out, &why);
    if (e != ERR_OK) return refuse(w, p, e, why);
    *text = (char *)(uintptr_t)out.ptr;
    return ERR_OK;
}

static enum error apply_to_bytes(const struct walk *w, const struct place *p, const struct text_rule *rule,
                                 const ProtobufCBinaryData *bytes) {
    struct str out;
    const char *why;
    enum error e =
        text_rule_apply(rule, w->arena, (struct str){(const char *)bytes->data, bytes->len}, &out, &why);
    return e != ERR_OK ? refuse(w, p, e, why) : ERR_OK;
}

static enum error apply_plan(const struct walk *w, const struct place *outer, const struct plan *plan,
                             ProtobufCMessage *m);

/* The i-th of the values that begin at first. */
static enum error apply_to_value(const struct walk *w, const struct place *p, const struct step *s,
                                 void *first, size_t i) {
    if (s->field->type == PROTOBUF_C_TYPE_STRING) return apply_to_text(w, p, s->rule, (char **)first + i);
    if (s->field->type == PROTOBUF_C_TYPE_BYTES)
        return apply_to_bytes(w, p, s->rule, (ProtobufCBinaryData *)first + i);
    ProtobufCMessage *inner = ((ProtobufCMessage **)first)[i];
    return inner ? apply_plan(w, p, s->inner, inner) : ERR_OK;
}

static void *at(ProtobufCMessage *m, size_t offset) {
    return (char *)(void *)m + offset;
}

/* What is there of a field: 0, 1 or, when it is repeated, many; they begin at *first. */
static size_t values(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, void **first) {
    *first = at(m, f->offset);
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(first, at(m, f->offset), sizeof *first);
        return *(const size_t *)at(m, f->quantifier_offset);
    }
    bool in_oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    return !in_oneof || *(const uint32_t *)at(m, f->quantifier_offset) == f->id;
}

static enum error apply_plan(const struct walk *w, const struct place *outer, const struct plan *plan,
                             ProtobufCMessage *m) {
    enum error e = ERR_OK;
    for (const struct step *s = plan->steps; s < plan->steps + plan->n && e == ERR_OK; s++) {
        const struct place here = {outer, s->field};
        void *first;
        size_t n = values(m, s->field, &first);
        for (size_t i = 0; i < n && e == ERR_OK; i++) e = apply_to_value(w, &here, s, first, i);
    }
    return e;
}

int text_fields_apply(const struct text_fields *f, ProtobufCMessage *m, struct arena *a,
                      struct fault *fault) {
    const struct plan *plan = plan_of(f, m->descriptor);
    const struct walk walk = {a, fault};
    return plan ? apply_plan(&walk, NULL, plan, m) : ERR_OK;
}
