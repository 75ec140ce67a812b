/* Parts of a job, which workers take from wherever they were kept. What is promised: no crash and no read outside the
 * input; a part that is refused gives one sentence; one that is taken gives a table whose header and rows agree, and
 * the same one again. Tables to combine are read from the same bytes.
 *
 * So that mutations get past the check of the whole, an input's end is written anew: the hash is not what is tested.
 */
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pieces.h"
#include "workers/jobs/fit/steps.h"
#include "workers/jobs/table/intern.h"

#define HEAD (STEPS_MAGIC_LENGTH + 4)
#define RECORD_HEAD 5
#define END_RECORD 3
#define END_LENGTH 24

static struct csv_source source_of(struct pieces *p, const char *at, size_t length) {
    *p = (struct pieces){at, length, 0};
    return (struct csv_source){read_piece, p};
}

/* ---- making an end that agrees with what is before it */

static uint32_t u32_at(const char *at) {
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return le32toh(number);
}

static void put_u64(struct buf *b, uint64_t number) {
    number = htole64(number);
    buf_append(b, &number, sizeof number);
}

static void put_end(struct buf *b, uint64_t slices, uint64_t rows, uint64_t hash) {
    uint32_t length = htole32(END_LENGTH);
    buf_append_char(b, END_RECORD);
    buf_append(b, &length, sizeof length);
    put_u64(b, slices);
    put_u64(b, rows);
    put_u64(b, hash);
}

/* The input with its whole records, and an end for them. */
static void mend(const char *bytes, size_t size, struct buf *out) {
    uint64_t counts[3] = {0};
    if (size < HEAD || u32_at(bytes + STEPS_MAGIC_LENGTH) > size - HEAD) {
        buf_append(out, bytes, size);
        return;
    }
    size_t at = HEAD + u32_at(bytes + STEPS_MAGIC_LENGTH);
    uint64_t hash = intern_hash(bytes + HEAD, at - HEAD, 0);
    while (size - at >= RECORD_HEAD) {
        unsigned kind = (unsigned char)bytes[at];
        size_t length = u32_at(bytes + at + 1);
        if (kind == END_RECORD || length > size - at - RECORD_HEAD) break;
        hash = intern_hash(bytes + at + RECORD_HEAD, length, hash ^ kind);
        counts[kind < 3 ? kind : 0]++;
        at += RECORD_HEAD + length;
    }
    buf_append(out, bytes, at);
    put_end(out, counts[1], counts[2], hash);
}

/* ---- what is promised */

/* The table of a part, or false and a sentence. The caller frees it. */
static bool fit(const struct buf *part, char **table, size_t *length) {
    struct pieces pieces;
    struct steps_fit_options options = {.threads = 1};
    struct jobs_error error = {0};
    FILE *out = open_memstream(table, length);
    assert(out);
    bool good = steps_fit("the part", source_of(&pieces, part->ptr, part->len), &options, out, &error);
    fclose(out);
    assert(good == (error.fault == JOBS_FAULT_NONE) && good == (error.text[0] == '\0'));
    return good;
}

/* Combining one table gives it back; the bytes of anything else are refused, or a table. */
static bool combine(const char *bytes, size_t size, char **table, size_t *length) {
    struct pieces pieces;
    struct steps_table one = {"the table", source_of(&pieces, bytes, size)};
    struct steps_combine_options options = {.memory = 1 << 20};
    struct jobs_error error = {0};
    FILE *out = open_memstream(table, length);
    assert(out);
    bool good = steps_combine(&one, 1, &options, out, &error);
    fclose(out);
    assert(good == (error.fault == JOBS_FAULT_NONE));
    return good;
}

static void check_table(const struct buf *part, const char *table, size_t length) {
    char *again = NULL;
    size_t again_length = 0;
    assert(fit(part, &again, &again_length));
    assert(length == again_length && memcmp(table, again, length) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf part;
    char *table = NULL, *combined = NULL;
    size_t length = 0, combined_length = 0;
    if (size == 0) return 0;
    buf_init(&part);
    mend((const char *)data, size, &part);
    if (fit(&part, &table, &length)) check_table(&part, table, length);
    combine((const char *)data, size, &combined, &combined_length);
    free(table);
    free(combined);
    buf_free(&part);
    return 0;
}

/* ---- seeds: parts of small jobs, and a table */

static const char rows[] = "g,y,x,z,c,w\na,1,1,2,yes,1\na,2,NA,3,no,2\na,4,3,,yes,1\nb,5,1,0,no,1\nb,7,2,1,"
                           "NA,0\nb,8,NA,5,yes,2\n,1,1,1,no,1\n";

static FILE *open_part(void *context, const struct steps_part *part, struct jobs_error *error) {
    (void)part, (void)error;
    return open_memstream(((char **)context), ((size_t *)((char **)context + 1)));
}

static bool close_part(void *context, const struct steps_part *part, FILE *file, bool whole,
                       struct jobs_error *error) {
    (void)context, (void)part, (void)whole, (void)error;
    return fclose(file) == 0;
}

struct seed_job {
    enum grouped_model model;
    enum missing_policy missing;
    bool within_slice, wide, weights;
};
static const struct seed_job jobs[] = {
    {MODEL_LINEAR, MISSING_DROP, false, false, false},
    {MODEL_LINEAR, MISSING_KNN, false, true, true},
    {MODEL_LOGISTIC, MISSING_MODE, false, false, false},
    {MODEL_LOGISTIC, MISSING_MEDIAN, true, true, false},
    {MODEL_LINEAR, MISSING_INDICATOR, true, false, false},
    {MODEL_LINEAR, MISSING_DROP_ANY, false, false, true},
};
#define N_JOBS (sizeof jobs / sizeof *jobs)

static void plan(const struct seed_job *s, struct buf *out) {
    static const char *const slice_by[] = {"g"}, *const x[] = {"x", "z"};
    struct {
        char *text;
        size_t length;
    } made = {NULL, 0};
    struct grouped_spec spec = {.slice_by = slice_by,
                                .n_slice_by = 1,
                                .y = s->model == MODEL_LINEAR ? "y" : "c",
                                .x = x,
                                .n_x = 2,
                                .weights = s->weights ? "w" : NULL,
                                .model = s->model,
                                .missing = s->missing,
                                .within_slice = s->within_slice,
                                .impute_response = s->missing == MISSING_MODE,
                                .wide = s->wide};
    struct dataset_options options = {0};
    struct steps_sink sink = {open_part, close_part, &made};
    struct steps_planned planned;
    struct jobs_error error = {0};
    struct pieces pieces;
    struct dataset dataset;
    struct grouped job;
    grouped_dataset_options(&spec, &options);
    bool good = dataset_open(&dataset, "rows", source_of(&pieces, rows, sizeof rows - 1), &options, &error) &&
                grouped_open(&job, &spec, &dataset, &error) &&
                steps_plan(&job, SIZE_MAX, &sink, &planned, &error);
    assert(good && planned.parts == 1);
    grouped_close(&job);
    dataset_close(&dataset);
    buf_append(out, made.text, made.length);
    free(made.text);
}

bool fuzz_seed(size_t i, struct buf *out) {
    if (i == N_JOBS) {
        struct buf part;
        char *table = NULL;
        size_t length = 0;
        buf_init(&part);
        plan(&jobs[0], &part);
        assert(fit(&part, &table, &length));
        buf_append(out, table, length);
        free(table);
        buf_free(&part);
    }
    if (i < N_JOBS) plan(&jobs[i], out);
    return i <= N_JOBS;
}
