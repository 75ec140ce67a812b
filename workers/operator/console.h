/* What the operator's commands share: reading their words, complaints, printing ages and progress. */
#ifndef ROOKERY_WORKERS_OPERATOR_CONSOLE_H
#define ROOKERY_WORKERS_OPERATOR_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

/* The words of a command line, taken one after the other. */
struct words {
    const char *command; /* for complaints: "audit" */
    int argc;
    char **argv;
    int next;
};

static inline struct words words_of(const char *command, int argc, char **argv) {
    return (struct words){command, argc, argv, 1};
}

/* The next word, or NULL. */
const char *words_next(struct words *w);
/* Returns the value of an option: the next word. NULL, after a sentence on standard error, when there is none. */
const char *words_value(struct words *w, const char *option);
/* The same for a whole number from lowest to highest. Returns false, after a sentence, when it is not one. */
bool words_number(struct words *w, const char *option, int64_t lowest, int64_t highest, int64_t *out);

/* "rookery-worker COMMAND: ..." and a newline on standard error. Returns 2, the exit status of a usage error. */
int complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "0.2 s", "45 s", "12 min", "3 h", "9 d"; a negative age is 0. */
#define AGE_MAX 24
const char *age_text(char out[static AGE_MAX], int64_t ms);

/* "2026-03-01T12:00:00.123Z". */
#define TIME_MAX 32
const char *time_text(char out[static TIME_MAX], int64_t wall_ms);

/* Prints a line on standard error that the next one replaces, if that is a terminal. "" removes the line. */
void show_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
