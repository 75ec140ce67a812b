/* Structured log: one JSON object a line on standard error.
 *
 *   log_info(log, "gateway ready", LOG_S("listen", addr), LOG_I("pid", getpid()));
 *
 *   {"time":"2026-03-01T12:00:00.123Z","level":"info","service":"gateway",
 *    "message":"gateway ready","listen":"127.0.0.1:8080","pid":7}                   (on one line)
 *
 * Values are escaped, and bytes that are not UTF-8 are replaced. A line is at most 4 KiB and always one whole object:
 * a text that does not fit is cut, a number is left out, and "cut":true says so. Lines of one level and message are
 * limited to 20 a second, so that a peer cannot fill a disk; a later line counts those that were left out. So put
 * what differs from line to line in fields, not in the message. May be used from any thread.
 */
#ifndef ROOKERY_CORE_BASE_LOG_H
#define ROOKERY_CORE_BASE_LOG_H

#include <stdint.h>

#include "core/base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log; /* passed around, never global */

/* service: "gateway", "worker"; borrowed for the life of the log. Returns NULL on allocation failure. */
struct log *log_new(const char *service, enum log_level level, int fd);
void log_free(struct log *l); /* reports what was left out; NULL is ignored */

/* Returns true and sets *out for "debug", "info", "warn" or "error"; else returns false and leaves *out. */
bool log_level_from(struct str name, enum log_level *out);

/* For tests: where the time comes from. */
void log_use_clock(struct log *l, int64_t (*wall_ms)(void));

struct log_field {
    const char *key; /* a literal that needs no escaping */
    enum { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_I64, LOG_FIELD_F64 } kind;
    struct str s;
    int64_t i;
    double d;
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .s = str_from(v)})
#define LOG_STR(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .s = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_I64, .i = (int64_t)(v)})
#define LOG_F(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_F64, .d = (v)})

/* l may be NULL: nothing is written. */
void log_write(struct log *l, enum log_level level, const char *message, const struct log_field *fields);

#define LOG_FIELDS(...)                                                                                      \
    ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL, .kind = LOG_FIELD_END}})
#define log_debug(l, m, ...) log_write((l), LOG_DEBUG, (m), LOG_FIELDS(__VA_ARGS__))
#define log_info(l, m, ...) log_write((l), LOG_INFO, (m), LOG_FIELDS(__VA_ARGS__))
#define log_warn(l, m, ...) log_write((l), LOG_WARN, (m), LOG_FIELDS(__VA_ARGS__))
#define log_error(l, m, ...) log_write((l), LOG_ERROR, (m), LOG_FIELDS(__VA_ARGS__))

#endif
