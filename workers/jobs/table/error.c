/* jobs_error: see error.h. */
#include "workers/jobs/table/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void jobs_make_plain(char *text, size_t n, bool one_line) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i], next = i + 1 < n ? (unsigned char)text[i + 1] : 0;
        bool two = c == 0xc2 && next >= 0x80 && next < 0xa0; /* the controls beyond ASCII */
        if ((c < ' ' && (one_line || c != '\n')) || c == 0x7f || two) text[i] = ' ';
        if (two) text[i + 1] = ' ';
    }
}

bool jobs_fail(struct jobs_error *error, enum jobs_fault fault, const char *format, ...) {
    if (error->fault != JOBS_FAULT_NONE) return false;
    error->fault = fault;
    va_list list;
    va_start(list, format);
    vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
    jobs_make_plain(error->text, strlen(error->text), true);
    return false;
}

bool jobs_fail_memory(struct jobs_error *error, const char *what) {
    return jobs_fail(error, JOBS_FAULT_DATA, "there is not enough memory for %s", what);
}
