/* Names of fields, as a person wrote or meant them in JSON. */
#include <string.h>

#include "core/codec/codec.h"
#include "core/codec/json_text.h"

/* Requests nest four deep; a type may contain itself. */
enum { DEPTH_MAX = 8 };

/* ---- the nearest name ---------------------------------------------------------------------------------- */

static char lowered(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* What is the same in all spellings of a name; returns its length. */
static size_t bare(const char *name, char out[static JSON_NAME_MAX]) {
    size_t n = 0;
    for (; *name && n + 1 < JSON_NAME_MAX; name++)
        if (*name != '_' && *name != '-') out[n++] = lowered(*name);
    out[n] = '\0';
    return n;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* How many letters must be changed, added or taken away (Levenshtein). */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b) {
    size_t row[JSON_NAME_MAX];
    for (size_t j = 0; j <= n_b; j++) row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t above = row[j];
            row[j] = least(least(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n_b];
}

bool json_nearest_name(const ProtobufCMessageDescriptor *type, const char *key,
                       char out[static JSON_NAME_MAX]) {
    char wanted[JSON_NAME_MAX], name[JSON_NAME_MAX];
    size_t n_wanted = bare(key, wanted), best = n_wanted / 3 + 1;
    const ProtobufCFieldDescriptor *found = NULL;
    for (unsigned i = 0; i < type->n_fields; i++) {
        size_t n = bare(type->fields[i].name, name), d = distance(wanted, n_wanted, name, n);
        if (d >= best) continue;
        best = d;
        found = &type->fields[i];
    }
    if (found) json_name(found->name, out);
    return found != NULL;
}

/* ---- a fault's names ----------------------------------------------------------------------------------- */

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool has_field(const ProtobufCMessageDescriptor *type, struct str name, int depth) {
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        if (str_eq(name, str_from(f->name))) return true;
        bool inner = f->type == PROTOBUF_C_TYPE_MESSAGE && depth > 1;
        if (inner && has_field(f->descriptor, name, depth - 1)) return true;
    }
    return false;
}

/* Words of several parts that are fields' names become what JSON calls them, which is never longer; not in quotes,
 * where sentences have what the caller sent. */
static void spell(const ProtobufCMessageDescriptor *type, char *text) {
    char *to = text;
    bool quoted = false;
    for (const char *from = text; *from;) {
        size_t n = 0;
        while (is_word(from[n])) n++;
        char word[JSON_NAME_MAX], name[JSON_NAME_MAX];
        if (n > 0 && n < sizeof word && !quoted && memchr(from, '_', n) &&
            has_field(type, (struct str){from, n}, DEPTH_MAX)) {
            memcpy(word, from, n);
            word[n] = '\0';
            json_name(word, name);
            size_t length = strlen(name);
            memcpy(to, name, length);
            to += length;
            from += n;
            continue;
        }
        if (n == 0) {
            quoted ^= *from == '"';
            n = 1;
        }
        memmove(to, from, n);
        to += n;
        from += n;
    }
    *to = '\0';
}

void json_spell_fault(const ProtobufCMessageDescriptor *type, struct fault *fault) {
    spell(type, fault->field);
    spell(type, fault->text);
}
