/* jobs_error: see error.h. */
#include "workers/jobs/table/error.h"

#include <stdarg.h>
#include <stdio.h>

bool jobs_fail(struct jobs_error *error, enum jobs_fault fault, const char *format, ...) {
    if (error->fault != JOBS_FAULT_NONE) return false;
    error->fault = fault;
    va_list list;
    va_start(list, format);
    vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
    return false;
}

bool jobs_fail_memory(struct jobs_error *error, const char *what) {
    return jobs_fail(error, JOBS_FAULT_DATA, "there is not enough memory for %s", what);
}
