/* jobs_table: see the header. */
#include "tests/unit/support/jobs_table.h"

#include <errno.h>
#include <sys/mman.h>

#include "workers/jobs/fit/steps.h"

#define PARTS_MAX 256

static ssize_t read_text(void *context, char *at, size_t room) {
    struct text_source *s = context;
    size_t n = s->length - s->at;
    if (n > room) n = room;
    if (s->step && n > s->step) n = s->step;
    if (s->fail_at && s->at + n >= s->fail_at) {
        errno = EIO;
        return -1;
    }
    memcpy(at, s->text + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

struct csv_source text_source(struct text_source *s, const char *text) {
    s->text = text;
    s->length = strlen(text);
    s->at = 0;
    return (struct csv_source){read_text, s};
}

struct csv_source text_source_again(void *source) {
    struct text_source *s = source;
    s->at = 0;
    return (struct csv_source){read_text, s};
}

static ssize_t write_text(void *cookie, const char *at, size_t n) {
    struct text_sink *sink = cookie;
    if (n > TEXT_SINK_MAX - 1 - sink->length) {
        errno = ENOSPC;
        return 0;
    }
    memcpy(sink->at + sink->length, at, n);
    sink->length += n;
    return (ssize_t)n;
}

FILE *text_sink_open(struct text_sink *sink) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    *sink = (struct text_sink){mmap(NULL, TEXT_SINK_MAX, PROT_READ | PROT_WRITE, flags, -1, 0), 0};
    assert_true(sink->at != MAP_FAILED);
    FILE *file = fopencookie(sink, "w", (cookie_io_functions_t){.write = write_text});
    if (!file) text_sink_close(sink);
    return file;
}

void text_sink_close(struct text_sink *sink) {
    if (sink->at) munmap(sink->at, TEXT_SINK_MAX);
    *sink = (struct text_sink){0};
}

/* Opens a job over a text. */
static bool open_job(const struct grouped_spec *spec, struct csv_source source, struct dataset *dataset,
                     struct grouped *job, struct jobs_error *error) {
    struct dataset_options options = {0};
    grouped_dataset_options(spec, &options);
    if (!dataset_open(dataset, "the text", source, &options, error)) return false;
    if (grouped_open(job, spec, dataset, error)) return true;
    dataset_close(dataset);
    return false;
}

/* Closes a stream into a sink; its text, malloc'd, when good, else NULL. */
static char *take_text(FILE *file, struct text_sink *sink, bool good) {
    good = fclose(file) == 0 && good;
    char *text = good ? malloc(sink->length + 1) : NULL;
    if (text) memcpy(text, sink->at, sink->length + 1);
    text_sink_close(sink);
    return text;
}

char *jobs_fit_text(const struct grouped_spec *spec, const char *text, struct jobs_error *error) {
    struct text_source source = {0};
    struct dataset dataset;
    struct grouped job;
    struct text_sink sink;
    char *table = NULL;
    if (!open_job(spec, text_source(&source, text), &dataset, &job, error)) return NULL;
    FILE *out = text_sink_open(&sink);
    bool good = out ? grouped_run(&job, out, error) : jobs_fail_memory(error, "the test");
    if (out) table = take_text(out, &sink, good);
    grouped_close(&job);
    dataset_close(&dataset);
    return table;
}

/* --- in parts ---------------------------------------------------------------------------------------------- */

struct kept_parts {
    struct text_sink part[PARTS_MAX], table[PARTS_MAX];
    size_t n;
};

static FILE *open_part(void *context, const struct steps_part *part, struct jobs_error *error) {
    struct kept_parts *kept = context;
    assert_int_equal(part->number, kept->n);
    assert_true(kept->n < PARTS_MAX);
    FILE *file = text_sink_open(&kept->part[kept->n]);
    if (file) {
        kept->n++;
    } else {
        jobs_fail_memory(error, "a part");
    }
    return file;
}

static bool close_part(void *context, const struct steps_part *part, FILE *file, bool whole,
                       struct jobs_error *error) {
    (void)context, (void)part, (void)whole;
    return fclose(file) == 0 || jobs_fail_memory(error, "a part");
}

struct part_source {
    const char *at;
    size_t left;
};

static ssize_t read_part(void *context, char *at, size_t room) {
    struct part_source *s = context;
    size_t n = s->left < room ? s->left : room;
    memcpy(at, s->at, n);
    s->at += n;
    s->left -= n;
    return (ssize_t)n;
}

static bool plan_parts(const struct grouped_spec *spec, const char *text, size_t part_rows,
                       struct kept_parts *kept, struct jobs_error *error) {
    struct text_source source = {0};
    struct steps_sink sink = {open_part, close_part, kept};
    struct steps_planned planned;
    struct dataset dataset;
    struct grouped job;
    if (!open_job(spec, text_source(&source, text), &dataset, &job, error)) return false;
    bool good = steps_plan(&job, part_rows, &sink, &planned, error);
    if (good) assert_int_equal(planned.parts, kept->n);
    grouped_close(&job);
    dataset_close(&dataset);
    return good;
}

static bool fit_part(struct kept_parts *kept, size_t i, struct jobs_error *error) {
    struct part_source part = {kept->part[i].at, kept->part[i].length};
    struct steps_fit_options options = {.threads = 1};
    FILE *out = text_sink_open(&kept->table[i]);
    if (!out) return jobs_fail_memory(error, "the test");
    bool good = steps_fit("a part", (struct csv_source){read_part, &part}, &options, out, error);
    return fclose(out) == 0 ? good : jobs_fail_memory(error, "the test");
}

static char *combine_parts(struct kept_parts *kept, const struct grouped_spec *spec,
                           struct jobs_error *error) {
    struct steps_table tables[PARTS_MAX];
    struct part_source sources[PARTS_MAX];
    struct steps_combine_options options = {.format = spec->format, .memory = 1};
    struct text_sink sink;
    for (size_t i = 0; i < kept->n; i++) {
        size_t from = kept->n - 1 - i;
        sources[i] = (struct part_source){kept->table[from].at, kept->table[from].length};
        tables[i] = (struct steps_table){"a table", {read_part, &sources[i]}};
    }
    FILE *out = text_sink_open(&sink);
    if (!out) {
        jobs_fail_memory(error, "the test");
        return NULL;
    }
    return take_text(out, &sink, steps_combine(tables, kept->n, &options, out, error));
}

char *jobs_fit_in_parts(const struct grouped_spec *spec, const char *text, size_t part_rows,
                        struct jobs_error *error) {
    static struct kept_parts kept;
    kept.n = 0;
    bool good = plan_parts(spec, text, part_rows, &kept, error);
    memset(kept.table, 0, sizeof kept.table);
    for (size_t i = 0; i < kept.n && good; i++) good = fit_part(&kept, kept.n - 1 - i, error);
    char *table = good ? combine_parts(&kept, spec, error) : NULL;
    for (size_t i = 0; i < kept.n; i++) {
        text_sink_close(&kept.part[i]);
        text_sink_close(&kept.table[i]);
    }
    return table;
}
