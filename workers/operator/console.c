/* Reading words of a command line, printing lines. */
#include "workers/operator/console.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/base/str.h"

const char *words_next(struct words *w) {
    return w->next < w->argc ? w->argv[w->next++] : NULL;
}

const char *words_value(struct words *w, const char *option) {
    const char *value = words_next(w);
    if (!value) complain(w->command, "%s needs a value (see --help)", option);
    return value;
}

bool words_number(struct words *w, const char *option, int64_t lowest, int64_t highest, int64_t *out) {
    const char *value = words_value(w, option);
    if (!value) return false;
    if (str_to_i64(str_from(value), out) && *out >= lowest && *out <= highest) return true;
    complain(w->command, "%s must be a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", option,
             lowest, highest, value);
    return false;
}

int complain(const char *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "rookery-worker %s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 2;
}

const char *age_text(char out[static AGE_MAX], int64_t ms) {
    int64_t s = ms < 0 ? 0 : ms / 1000;
    if (s < 10)
        snprintf(out, AGE_MAX, "%.1f s", ms < 0 ? 0 : (double)ms / 1000);
    else if (s < 120)
        snprintf(out, AGE_MAX, "%" PRId64 " s", s);
    else if (s < 2 * 3600)
        snprintf(out, AGE_MAX, "%" PRId64 " min", s / 60);
    else if (s < 48 * 3600)
        snprintf(out, AGE_MAX, "%" PRId64 " h", s / 3600);
    else
        snprintf(out, AGE_MAX, "%" PRId64 " d", s / (24 * 3600));
    return out;
}

const char *time_text(char out[static TIME_MAX], int64_t wall_ms) {
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, TIME_MAX - n, ".%03dZ", (int)(wall_ms % 1000));
    return out;
}

void show_progress(const char *format, ...) {
    if (!isatty(STDERR_FILENO)) return;
    va_list args;
    va_start(args, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
}
