/* See progress.h. The line consists of ASCII characters only, and is removed with blanks: that works everywhere. */
#include "workers/jobs/command/progress.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "workers/jobs/command/terminal.h"

/* Nothing is shown of what takes less. */
#define FIRST_MS 500
#define EVERY_MS 250
/* Before that, an estimate of the time left would jump. */
#define ESTIMATE_MS 1000

static int64_t now_ms(void) {
    return clock_mono_ns() / 1000000;
}

/* ---- the text ---------------------------------------------------------------------------------------- */

struct text {
    char *at;
    size_t length;
    bool listed; /* an item has been added */
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...) {
    va_list args;
    size_t room = PROGRESS_ROOM - text->length;
    va_start(args, format);
    int n = vsnprintf(text->at + text->length, room, format, args);
    va_end(args);
    if (n > 0) text->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void next_item(struct text *text) {
    add(text, text->listed ? ", " : ": ");
    text->listed = true;
}

static bool size_is_known(const struct progress *p) {
    return p->size > 0 && !p->of_unknown_size && p->done <= p->size;
}

static void add_done(struct text *text, const struct progress *p) {
    if (size_is_known(p)) {
        next_item(text);
        add(text, "%.0f %%", (double)(uint64_t)(100.0 * (double)p->done / (double)p->size));
    } else if (p->in_bytes && p->done > 0) {
        next_item(text);
        if (p->done < 1000000000)
            add(text, "%.1f MB", (double)p->done / 1e6);
        else
            add(text, "%.2f GB", (double)p->done / 1e9);
    }
}

static void add_rows(struct text *text, const struct progress *p) {
    if (p->rows == 0) return;
    next_item(text);
    if (p->rows < 1000000)
        add(text, "%llu rows", (unsigned long long)p->rows);
    else
        add(text, "%.1f M rows", (double)p->rows / 1e6);
}

/* At the pace so far. */
static void add_left(struct text *text, const struct progress *p, int64_t now) {
    int64_t passed = now - p->began;
    if (!size_is_known(p) || p->done == 0 || p->done == p->size || passed < ESTIMATE_MS) return;
    double seconds = (double)passed / 1000 * (double)(p->size - p->done) / (double)p->done;
    next_item(text);
    if (seconds < 59.5)
        add(text, "%.0f s left", seconds < 1 ? 1 : seconds);
    else if (seconds < 3570)
        add(text, "%.0f min left", seconds / 60);
    else
        add(text, "%.1f h left", seconds / 3600);
}

size_t progress_line(const struct progress *p, int64_t now, size_t columns, char line[PROGRESS_ROOM]) {
    struct text text = {.at = line};
    add(&text, "%s", p->doing);
    add_done(&text, p);
    add_rows(&text, p);
    add_left(&text, p, now);
    if (text.length > columns) text.length = columns;
    line[text.length] = '\0';
    return text.length;
}

/* ---- the line ---------------------------------------------------------------------------------------- */

static struct {
    struct progress says;
    bool wanted;
    bool only_reading; /* then the command writes to the same terminal itself */
    FILE *notes;
    size_t inputs;  /* that have not been read to their end */
    uint64_t bytes; /* read, the first time */
    int64_t drawn;
    size_t shown; /* characters of the line; 0: there is none */
} state;

static void draw(int64_t now) {
    char line[PROGRESS_ROOM];
    size_t columns = terminal_columns(STDERR_FILENO), before = state.shown;
    /* A character in the last column would begin a new line. */
    state.shown = progress_line(&state.says, now, columns - 1, line);
    state.drawn = now;
    fprintf(stderr, "\r%s%*s", line, before > state.shown ? (int)(before - state.shown) : 0, "");
}

static void draw_sometimes(void) {
    int64_t now = now_ms();
    if (state.wanted && now - state.drawn >= EVERY_MS) draw(now);
}

static void clear(void) {
    if (state.shown) fprintf(stderr, "\r%*s\r", (int)state.shown, "");
    state.shown = 0;
}

static void go_on(const char *doing, uint64_t size, bool in_bytes) {
    uint64_t rows = state.says.rows;
    state.says = (struct progress){
        .doing = doing, .size = size, .in_bytes = in_bytes, .rows = rows, .began = now_ms()};
    if (state.only_reading) {
        clear();
        state.wanted = false;
    }
    if (state.shown) draw(state.says.began);
}

/* ---- notes ------------------------------------------------------------------------------------------- */

static ssize_t write_note(void *cookie, const char *at, size_t n) {
    char plain[BUFSIZ];
    (void)cookie;
    clear();
    if (n > sizeof plain) n = sizeof plain;
    memcpy(plain, at, n);
    jobs_make_plain(plain, n, false);
    return fwrite(plain, 1, n, stderr) == n ? (ssize_t)n : 0;
}

static FILE *notes_beside_the_line(void) {
    FILE *notes = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_note});
    if (notes) setvbuf(notes, NULL, _IOLBF, BUFSIZ);
    return notes;
}

FILE *progress_notes(void) {
    return state.notes;
}

/* ---- for commands ------------------------------------------------------------------------------------ */

/* Results go straight to the terminal: but for tables, which are shown when they are whole. */
static bool writes_to_terminal(const struct jobs_args *args) {
    bool elsewhere = args->output && strcmp(args->output, "-") != 0;
    bool table = args->command != JOBS_IMPUTE && args->command != JOBS_SLICE;
    return !elsewhere && (!table || args->has_format) && isatty(STDOUT_FILENO);
}

void progress_begin(const struct jobs_args *args) {
    int64_t now = now_ms();
    memset(&state, 0, sizeof state);
    state.says = (struct progress){.doing = "reading", .in_bytes = true, .began = now};
    state.drawn = now + FIRST_MS - EVERY_MS;
    if (args->quiet) return;
    state.notes = isatty(STDERR_FILENO) ? notes_beside_the_line() : NULL;
    state.wanted = state.notes != NULL;
    state.only_reading = writes_to_terminal(args);
    if (!state.notes) state.notes = stderr;
}

void progress_end(void) {
    if (state.notes && state.notes != stderr) fclose(state.notes);
    clear();
    state.notes = NULL;
    state.wanted = false;
}

void progress_expect(off_t size) {
    state.inputs++;
    if (size >= 0) state.says.size += (uint64_t)size;
    state.says.of_unknown_size |= size < 0;
}

void progress_read(size_t bytes) {
    if (bytes == 0 && state.inputs > 0 && --state.inputs == 0) {
        state.bytes = state.says.done;
        go_on("computing", 0, true);
        return;
    }
    state.says.done += bytes;
    draw_sometimes();
}

void progress_again(const char *doing) {
    go_on(doing, state.bytes, true);
}

static bool take_rows(void *context, uint64_t rows) {
    (void)context;
    if (rows == 0) return true;
    state.says.rows = rows;
    draw_sometimes();
    return true;
}

static void take_fitted(void *context, uint64_t rows, uint64_t of) {
    static const char FITTING[] = "fitting";
    (void)context;
    state.says.rows = 0;
    if (state.says.doing != FITTING) go_on(FITTING, of, false);
    state.says.done = rows;
    draw_sometimes();
}

void progress_follow(struct grouped_spec *spec) {
    if (!state.wanted) return;
    spec->go_on = take_rows;
    spec->fitted = take_fitted;
}
