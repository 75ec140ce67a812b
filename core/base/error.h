/* The error table, and faults: errors with a sentence.
 *
 * Functions return 0 (ERR_OK) or one of these. When a person or a client will read about an error, they fill a struct
 * fault: the error, the field it is about, and one sentence that says what would be right. Errors of libraries are
 * converted where they enter the program.
 */
#ifndef ROOKERY_CORE_BASE_ERROR_H
#define ROOKERY_CORE_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, number, gRPC status, whether the unchanged request may succeed later, text) */
#define ERROR_TABLE(X)                                                                                         \
    X(OK, 0, 0, false, "ok")                                                                                   \
    X(CANCELLED, 1, 1, false, "cancelled by the caller")                                                       \
    X(UNKNOWN, 2, 2, false, "unknown error")                                                                   \
    X(INVALID_ARGUMENT, 3, 3, false, "invalid argument")                                                       \
    X(DEADLINE_EXCEEDED, 4, 4, true, "deadline exceeded")                                                      \
    X(NOT_FOUND, 5, 5, false, "not found")                                                                     \
    X(ALREADY_EXISTS, 6, 6, false, "already exists")                                                           \
    X(PERMISSION_DENIED, 7, 7, false, "not allowed")                                                           \
    X(RESOURCE_EXHAUSTED, 8, 8, true, "too much")                                                              \
    X(FAILED_PRECONDITION, 9, 9, false, "not possible in this state")                                          \
    X(ABORTED, 10, 10, true, "conflict with another request")                                                  \
    X(OUT_OF_RANGE, 11, 11, false, "out of range")                                                             \
    X(UNIMPLEMENTED, 12, 12, false, "not implemented")                                                         \
    X(INTERNAL, 13, 13, false, "internal error")                                                               \
    X(UNAVAILABLE, 14, 14, true, "temporarily unavailable")                                                    \
    X(DATA_LOSS, 15, 15, false, "data loss")                                                                   \
    X(UNAUTHENTICATED, 16, 16, false, "not authenticated")                                                     \
    /* Inside the program, with sentences that may quote a statement or a key: those are for logs. A client  \
     * sees the gRPC status in the third column and the text in the last. */ \
    X(CONNECTION_LOST, 32, 14, true, "connection to a backend was lost; the outcome is unknown")               \
    X(SQL, 33, 13, false, "the database refused a statement")                                                  \
    X(SQL_CONFLICT, 34, 10, true, "the database asked to try the transaction again")                           \
    X(REDIS, 35, 13, false, "Redis refused a command")                                                         \
    X(OVERLOADED, 36, 8, true, "a queue is full")                                                              \
    X(SQL_DUPLICATE, 37, 13, false, "the database has such a row already")                                     \
    X(SQL_CONSTRAINT, 38, 13, false, "a constraint of the database refused a row")                             \
    X(SQL_RESOURCES, 39, 14, true, "the database is out of resources: try again later")                        \
    X(SQL_READ_ONLY, 40, 14, true, "the database takes no writes at the moment: try again later")              \
    X(REDIS_STATE, 41, 14, true, "Redis takes no commands at the moment: try again later")

enum error {
    ERR_SIGNED = -1, /* no error: it makes the type signed, so that clang lets it be returned as int */
#define X(name, number, grpc, retryable, text) ERR_##name = number,
    ERROR_TABLE(X)
#undef X
};

const char *error_name(enum error e); /* "NOT_FOUND"; "?" for a number outside the table */
const char *error_text(enum error e);
int error_grpc_status(enum error e); /* 0..16 */
bool error_retryable(enum error e);

struct fault {
    enum error error;
    char field[48];         /* proto field path; "" when the error is not about a field */
    char text[256];         /* one sentence, UTF-8; a longer one is cut between characters */
    int64_t retry_after_ms; /* > 0 for errors that ask the client to wait */
};

/* Both fill *f (which may be NULL) and return e, so that a caller can write: return fault_field(f, ...). */
enum error fault_set(struct fault *f, enum error e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum error fault_field(struct fault *f, enum error e, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Fills *f with text, which may be f's own and is cut when it is too long, and " (reference REFERENCE)". Returns e. */
enum error fault_refer(struct fault *f, enum error e, const char *text, const char *reference);

#endif
