/* Names and texts of the error table, and the filling of faults. */
#include "core/base/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct error_row {
    const char *name, *text;
    int grpc_status;
    bool retryable;
};

static struct error_row error_row(enum error e) {
    switch (e) {
#define X(name, number, grpc, retryable, text)                                                               \
    case ERR_##name: return (struct error_row){#name, text, grpc, retryable};
        ERROR_TABLE(X)
#undef X
    case ERR_SIGNED: break;
    }
    return (struct error_row){"?", "unknown error", 2, false};
}

const char *error_name(enum error e) {
    return error_row(e).name;
}

const char *error_text(enum error e) {
    return error_row(e).text;
}

int error_grpc_status(enum error e) {
    return error_row(e).grpc_status;
}

bool error_retryable(enum error e) {
    return error_row(e).retryable;
}

/* Takes off the start of a character whose rest did not fit. */
static void drop_cut_character(char *text, size_t len) {
    size_t start = len;
    while (start && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t whole = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (len - (start - 1) < whole) text[start - 1] = '\0';
}

static void fault_fill(struct fault *f, enum error e, const char *field, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void fault_fill(struct fault *f, enum error e, const char *field, const char *format, va_list args) {
    if (!f) return;
    /* Formatted aside first: an argument may be the text of this very fault. */
    struct fault filled = {.error = e};
    int field_len = snprintf(filled.field, sizeof(filled.field), "%s", field);
    if (field_len >= (int)sizeof(filled.field)) drop_cut_character(filled.field, sizeof(filled.field) - 1);
    int len = vsnprintf(filled.text, sizeof(filled.text), format, args);
    if (len >= (int)sizeof(filled.text)) drop_cut_character(filled.text, sizeof(filled.text) - 1);
    *f = filled;
}

enum error fault_refer(struct fault *f, enum error e, const char *text, const char *reference) {
    struct fault filled = {.error = e};
    char last[64];
    size_t room = sizeof filled.text - (size_t)snprintf(last, sizeof last, " (reference %.32s)", reference);
    int len = snprintf(filled.text, room, "%s", text);
    if (len >= (int)room) drop_cut_character(filled.text, room - 1);
    strcat(filled.text, last);
    *f = filled;
    return e;
}

enum error fault_set(struct fault *f, enum error e, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fault_fill(f, e, "", format, args);
    va_end(args);
    return e;
}

enum error fault_field(struct fault *f, enum error e, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fault_fill(f, e, field, format, args);
    va_end(args);
    return e;
}
