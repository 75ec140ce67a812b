/* grouped_internal: what the files of the grouped fit share. The story is in grouped.h. */
#ifndef ROOKERY_WORKERS_JOBS_FIT_GROUPED_INTERNAL_H
#define ROOKERY_WORKERS_JOBS_FIT_GROUPED_INTERNAL_H

#include "workers/jobs/fit/grouped.h"
#include "workers/jobs/report/summary.h"
#include "workers/jobs/table/decimal.h"
#include "workers/jobs/table/spill.h"

/* Rows in memory, with the number of each row's slice key. */
struct grouped_batch {
    struct table table;
    struct slice_keys *keys;
    uint32_t *row_slice;
    size_t rows_room;
    struct slice_index index; /* once all rows are there */
};
bool grouped_batch_open(struct grouped_batch *batch, const struct dataset *d, size_t n_keys,
                        struct jobs_error *error);
bool grouped_batch_add(struct grouped_batch *batch, const struct dataset_row *row, uint32_t slice,
                       struct jobs_error *error);
size_t grouped_batch_size(const struct grouped_batch *batch);
void grouped_batch_close(struct grouped_batch *batch);

/* Where formatted slices go, in key order. text is the slice's rows. */
struct grouped_sink {
    bool (*put)(void *context, struct slice_key key, const char *text, size_t length,
                struct jobs_error *error);
    void *context;
};

#define GROUPED_STATUSES (FIT_PARSE_ERROR + 1)

/* How many columns of a job have their gaps counted: x, the response, the weights. */
static inline size_t grouped_n_cells(const struct grouped_spec *spec) {
    return spec->n_x + 2;
}

/* What all threads of a run read, after all rows have been read. */
struct grouped_state {
    const struct grouped *job;
    struct slice_kinds kinds;
    struct missing_plan plan;
    struct missing_result fills; /* of the whole table; nothing known when filling slice by slice */
    char **fill_texts;           /* per column, owned: the text of fills[column], where batches come and go */
    bool fills_any;              /* at least one policy fills cells of the model */
    const char *positive;        /* a text response's value for 1; NULL: the response is a number */
    char positive_number[DECIMAL_PRINT_ROOM]; /* where that is a number: it is here */
    bool respells; /* the texts of the response are numbers, to be spelled in one way each: grouped_respell */
    struct grouped_plots *plots; /* NULL: none */
    struct results_cells *cells; /* so far, over all slices: per x, then the response, then the weights */
    uint64_t statuses[GROUPED_STATUSES];
    uint64_t dropped;          /* rows that the fits of their slices did not use */
    uint64_t n_rows, n_fitted; /* rows, and those of slices that are fitted */
};
bool grouped_state_open(struct grouped_state *state, const struct grouped *job, struct jobs_error *error);
void grouped_state_close(struct grouped_state *state);

/* Sums of what has been read, for means: per dataset column. */
struct grouped_sums {
    long double *sum;
    uint64_t *n;
};

/* All rows of a job: in memory, or in spill files when they outgrew it. */
struct grouped_rows {
    struct grouped_batch batch; /* while spill is NULL */
    struct spill *spill;
    struct grouped_sums sums;
    uint64_t n_rows, n_left_out; /* taken; without a slice key */
};
/* Reads the job's dataset to its end, determines what depends on all rows (types, the response's classes, the
 * predictors of policies) and computes fills over the whole table. Returns false with *error set; nothing is owned
 * then. */
bool grouped_read(struct grouped_state *state, struct grouped_rows *rows, struct jobs_error *error);
void grouped_rows_close(struct grouped_rows *rows);

/* Calls `each` with one batch after the other. Every slice is completely in one batch; the batches' tables are
 * finished, and state's fills fit them. Slices are ordered within a batch only. A batch is freed when `each`
 * returns. */
typedef bool grouped_batch_fn(void *context, struct grouped_batch *batch, struct jobs_error *error);
bool grouped_each_batch(struct grouped_state *state, struct grouped_rows *rows, grouped_batch_fn *each,
                        void *context, struct jobs_error *error);
/* Fits them all and writes the table. */
bool grouped_fit_rows(struct grouped_state *state, struct grouped_rows *rows, FILE *out,
                      struct jobs_error *error);

/* Indexes a complete batch and fits each of its slices. */
bool grouped_fit_batch(struct grouped_state *state, struct grouped_batch *batch, struct grouped_sink sink,
                       struct jobs_error *error);

/* Asks go_on whether to continue, when `rows` is a multiple of some thousands. Returns false with *error set. */
bool grouped_go_on(const struct grouped_spec *spec, uint64_t rows, struct jobs_error *error);
/* Sets the numbers of the fills' texts (state->fill_texts) in this batch. Returns false on allocation failure. */
bool grouped_number_fill_texts(struct grouped_state *state, struct grouped_batch *batch);
/* Spells the response's numbers in this batch in one way each, where the state respells. Returns false on allocation
 * failure. */
bool grouped_respell(const struct grouped_state *state, struct grouped_batch *batch);
/* Writes a number as grouped_respell spells it; returns its length. */
size_t grouped_spell(double number, char out[static DECIMAL_PRINT_ROOM]);
/* Marks the columns that --predictors names. Returns false with *error set. */
bool grouped_use_predictors(struct grouped *job, struct jobs_error *error);
/* Notes how many cells of a column were filled, and by what; adds them to the summary. */
void grouped_say_filled(FILE *notes, struct summary *summary, const char *name, enum missing_policy policy,
                        bool text, struct results_cells cells);
/* Sets the table's shape and names from the job's spec. */
bool grouped_shape(struct grouped *job, struct jobs_error *error);
/* Sets *error: the table could not be written, and why (errno). Returns false. */
bool grouped_write_failed(struct jobs_error *error);

/* ---- rows in spill files (grouped_spilled.c) ----------------------------------------------------------- */

/* Fills over a whole table that is in spill files; spill may be NULL for a job of sums_only. */
bool grouped_spilled_fills(struct grouped_state *state, struct spill *spill, const struct grouped_sums *sums,
                           struct jobs_error *error);
bool grouped_spilled_each(struct grouped_state *state, struct spill *spill, uint64_t n_rows,
                          grouped_batch_fn *each, void *context, struct jobs_error *error);

/* ---- pictures (grouped_plots.c) ------------------------------------------------------------------------ */

struct grouped_plots;
/* Creates the folder if it does not exist. */
struct grouped_plots *grouped_plots_new(const struct grouped_state *state, struct jobs_error *error);
bool grouped_plots_add(struct grouped_plots *plots, struct slice_key key, const struct linear_input *input,
                       const struct fit_term *terms, const struct linear_result *linear,
                       const struct logistic_result *logistic, struct jobs_error *error);
/* Writes the overview's pages, and says in the job's notes what there is. */
bool grouped_plots_finish(struct grouped_plots *plots, struct jobs_error *error);
void grouped_plots_free(struct grouped_plots *plots);

#endif
