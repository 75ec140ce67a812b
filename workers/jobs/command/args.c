/*
 * jobs_args: see args.h. One table of options: whose they are, what they take, how they are taken and what --help
 * says of them. An option is --name VALUE or --name=VALUE; FILE arguments may stand anywhere; -- ends the options.
 */
#include "workers/jobs/command/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "workers/jobs/model/association.h"
#include "workers/jobs/table/decimal.h"

#define FITTING (JOBS_FIT | JOBS_SLICE)
#define FILLING (FITTING | JOBS_IMPUTE)
#define READING (FILLING | JOBS_ASSOCIATE | JOBS_EXPRESSION)
#define TABLES (JOBS_FIT | JOBS_COMBINE)

struct option {
    const char *name;
    unsigned commands;
    bool model;        /* says what to fit, or how to read the data: a part contains that itself */
    const char *value; /* what it takes, for --help; NULL: nothing */
    bool (*take)(struct jobs_args *args, const char *value, struct jobs_error *error);
    const char *help;
};

/* ---- values ------------------------------------------------------------------------------------------ */

static bool bad_value(struct jobs_error *error, const char *value, const char *right) {
    return jobs_fail(error, JOBS_FAULT_USAGE, "\"%.100s\" is %s", value, right);
}

static bool no_memory(struct jobs_error *error) {
    return jobs_fail_memory(error, "the arguments");
}

bool text_list_add(struct text_list *list, char *text) {
    const char **bigger = text ? realloc(list->items, (list->n + 1) * sizeof *bigger) : NULL;
    if (!bigger) {
        free(text);
        return false;
    }
    list->items = bigger;
    list->items[list->n++] = text;
    return true;
}

void text_list_free(struct text_list *list) {
    for (size_t i = 0; i < list->n; i++) free((void *)(uintptr_t)list->items[i]);
    free(list->items);
    *list = (struct text_list){0};
}

/* Returns the next item of a list, without quotes; NULL with *error set. Moves *rest behind it and its comma. */
static char *cut_item(const char **rest, struct jobs_error *error) {
    const char *at = *rest;
    char *item = malloc(strlen(at) + 1), *to = item;
    if (!item) {
        no_memory(error);
        return NULL;
    }
    if (*at == '"') {
        for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
            if (*at == '"') at++;
            *to++ = *at;
        }
        bool closed = *at == '"' && (at[1] == '\0' || at[1] == ',');
        if (closed) at++;
        if (!closed)
            bad_value(error, *rest, "not a list of names: a name that begins with a quote ends with one");
    } else {
        while (*at && *at != ',') *to++ = *at++;
    }
    *to = '\0';
    if (to == item) bad_value(error, *rest, "not a list of names: one of them is empty");
    if (error->fault) {
        free(item);
        return NULL;
    }
    *rest = at;
    return item;
}

static bool take_list(struct text_list *list, const char *value, struct jobs_error *error) {
    for (const char *rest = value;; rest++) {
        char *item = cut_item(&rest, error);
        if (!item) return false;
        if (!text_list_add(list, item)) return no_memory(error);
        if (*rest == '\0') return true;
    }
}

/* A whole number from low to high. */
static bool take_count(size_t *out, const char *value, size_t low, size_t high, struct jobs_error *error) {
    double number;
    if (decimal_parse(value, strlen(value), &number) == DECIMAL_INTEGER && number >= (double)low &&
        number <= (double)high) {
        *out = (size_t)number;
        return true;
    }
    return jobs_fail(error, JOBS_FAULT_USAGE, "\"%.100s\" is not a whole number from %zu to %zu", value, low,
                     high);
}

/* Strictly between 0 and 1. */
static bool take_fraction(double *out, const char *value, struct jobs_error *error) {
    if (decimal_parse(value, strlen(value), out) != DECIMAL_NOT && *out > 0 && *out < 1) return true;
    return bad_value(error, value, "not a number between 0 and 1");
}

/* Bytes, with K, M, G or T for powers of 1024. */
static bool take_size(size_t *out, const char *value, struct jobs_error *error) {
    static const char units[] = "KMGT";
    size_t length = strlen(value);
    const char *unit = length > 1 ? strchr(units, value[length - 1]) : NULL;
    double number, factor = 1;
    for (const char *u = units; unit && u <= unit; u++) factor *= 1024;
    enum decimal_kind kind = decimal_parse(value, length - (unit != NULL), &number);
    if (kind == DECIMAL_INTEGER && number * factor >= (double)GROUPED_MEMORY_MIN &&
        number * factor <= 0x1p50) {
        *out = (size_t)(number * factor);
        return true;
    }
    return bad_value(error, value, "not a size of at least 1M, such as 512M or 4G");
}

/* "COL=VALUE", cut at the last "=": policies and lists contain no "=". */
static char *cut_column(const char *value, const char **rest, struct jobs_error *error) {
    const char *equals = strrchr(value, '=');
    if (!equals || equals == value) {
        bad_value(error, value, "not of the form COLUMN=VALUE");
        return NULL;
    }
    *rest = equals + 1;
    char *name = strndup(value, (size_t)(equals - value));
    if (!name) no_memory(error);
    return name;
}

static bool take_policy(enum missing_policy *policy, const char *value, struct jobs_error *error) {
    return missing_policy_parse(value, policy) ||
           bad_value(error, value, "no policy for missing values; there are " MISSING_POLICIES);
}

/* One of two words. */
static bool take_word(bool *second, const char *value, const char *a, const char *b,
                      struct jobs_error *error) {
    *second = strcmp(value, b) == 0;
    if (*second || strcmp(value, a) == 0) return true;
    return jobs_fail(error, JOBS_FAULT_USAGE, "\"%.100s\" is neither %s nor %s", value, a, b);
}

/* ---- options ----------------------------------------------------------------------------------------- */

#define TAKER(name) static bool name(struct jobs_args *args, const char *value, struct jobs_error *error)
#define FLAG(name, field)                                                                                    \
    TAKER(name) {                                                                                            \
        (void)value, (void)error;                                                                            \
        args->field = true;                                                                                  \
        return true;                                                                                         \
    }
#define TEXT(name, field)                                                                                    \
    TAKER(name) {                                                                                            \
        args->field = value;                                                                                 \
        return *value != '\0' || jobs_fail(error, JOBS_FAULT_USAGE, "it is empty");                          \
    }
#define LIST(name, field)                                                                                    \
    TAKER(name) {                                                                                            \
        return take_list(&args->field, value, error);                                                        \
    }
#define COUNT(name, field, low, high)                                                                        \
    TAKER(name) {                                                                                            \
        return take_count(&args->field, value, low, high, error);                                            \
    }

LIST(take_slice_by, slice_by)
LIST(take_x, x)
LIST(take_predictors, predictors)
TEXT(take_y, spec.y)
TEXT(take_weights, spec.weights)
TEXT(take_positive, spec.positive)
TEXT(take_output, output)
TEXT(take_output_dir, output_dir)
TEXT(take_plot, spec.plot_dir)
TEXT(take_scratch_dir, spec.scratch_dir)
TEXT(take_variant, genomics.variant)
TEXT(take_status, genomics.status)
TEXT(take_patient, genomics.patient)
TEXT(take_diseased, genomics.diseased)
TEXT(take_healthy, genomics.healthy)
TEXT(take_map, map)
TEXT(take_symbols, symbols)
TEXT(take_transcript, genomics.transcript)
TEXT(take_tpm, genomics.tpm)
FLAG(take_no_intercept, spec.linear.no_intercept)
FLAG(take_robust, spec.linear.robust)
FLAG(take_exact, spec.linear.exact)
FLAG(take_wide, spec.wide)
FLAG(take_drop_missing_keys, spec.drop_missing_keys)
FLAG(take_impute_response, spec.impute_response)
FLAG(take_standardise, spec.missing_options.standardise)
FLAG(take_quoted_numbers, dataset.quoted_numbers)
FLAG(take_trim, dataset.allowed.trim)
FLAG(take_lenient, dataset.allowed.blank_lines)
FLAG(take_null_as_zero, genomics.null_as_zero)
FLAG(take_ignore_version, genomics.ignore_version)
FLAG(take_no_map_header, no_map_header)
FLAG(take_no_symbols_header, no_symbols_header)
FLAG(take_quiet, quiet)
FLAG(take_clear, clear)
FLAG(take_no_pager, no_pager)
COUNT(take_k, spec.missing_options.k, 1, MISSING_K_MAX)
COUNT(take_part_rows, part_rows, 1, UINT32_MAX)
COUNT(take_min_patients, genomics.min_patients, 1, UINT32_MAX)

TAKER(take_long) {
    (void)value, (void)error;
    args->spec.wide = false;
    return true;
}
TAKER(take_top) {
    if (strcmp(value, "all") != 0) return take_count(&args->genomics.top, value, 1, UINT32_MAX, error);
    args->genomics.top = SIZE_MAX;
    return true;
}
TAKER(take_threads) {
    size_t n;
    if (!take_count(&n, value, 1, GROUPED_THREADS_MAX, error)) return false;
    args->spec.threads = (unsigned)n;
    return true;
}
TAKER(take_memory) {
    return take_size(&args->spec.memory, value, error);
}
TAKER(take_confidence) {
    return take_fraction(&args->spec.linear.confidence, value, error);
}
TAKER(take_rank_tolerance) {
    return take_fraction(&args->spec.linear.rank_tolerance, value, error);
}
TAKER(take_model) {
    bool logistic;
    if (!take_word(&logistic, value, "linear", "logistic", error)) return false;
    args->spec.model = logistic ? MODEL_LOGISTIC : MODEL_LINEAR;
    return true;
}
TAKER(take_format) {
    bool json;
    if (!take_word(&json, value, "csv", "json", error)) return false;
    args->spec.format = json ? RESULTS_JSON : RESULTS_CSV;
    args->has_format = true;
    return true;
}
TAKER(take_scope) {
    return take_word(&args->spec.within_slice, value, "table", "slice", error);
}
TAKER(take_knn_weights) {
    return take_word(&args->spec.missing_options.distance, value, "uniform", "distance", error);
}
TAKER(take_missing) {
    args->has_missing = true;
    return take_policy(&args->spec.missing, value, error);
}
TAKER(take_missing_column) {
    const char *policy;
    char *name = cut_column(value, &policy, error);
    if (!name) return false;
    enum missing_policy *bigger =
        realloc(args->missing_of, (args->missing_columns.n + 1) * sizeof *args->missing_of);
    if (bigger) args->missing_of = bigger;
    if (!bigger) free(name);
    if (!bigger || !text_list_add(&args->missing_columns, name)) return no_memory(error);
    return take_policy(&args->missing_of[args->missing_columns.n - 1], policy, error);
}
TAKER(take_na) {
    (void)error;
    args->dataset.na = value;
    return true;
}
/* Adds to what --na says, or to the default, wherever on the line it stands: lend_to_spec puts them together. */
TAKER(take_na_add) {
    if (*value == '\0') return jobs_fail(error, JOBS_FAULT_USAGE, "it is empty");
    return text_list_add(&args->na_more, strdup(value)) || no_memory(error);
}
TAKER(take_na_column) {
    const char *list;
    char *name = cut_column(value, &list, error);
    if (!name) return false;
    if (!text_list_add(&args->na_columns, name) || !text_list_add(&args->na_of, strdup(list)))
        return no_memory(error);
    return true;
}
static bool take_separator(char *out, const char *value, struct jobs_error *error) {
    bool tab = strcmp(value, "\\t") == 0 || strcmp(value, "tab") == 0;
    char c = tab ? '\t' : value[0];
    bool one = tab || (c != '\0' && value[1] == '\0');
    if (!one || c == '"' || c == '\r' || c == '\n' || (unsigned char)c > 127) {
        return bad_value(error, value, "not a delimiter: it is one ASCII character but a quote, or tab");
    }
    *out = c;
    return true;
}
TAKER(take_delimiter) {
    return take_separator(&args->dataset.delimiter, value, error);
}
TAKER(take_map_delimiter) {
    return take_separator(&args->map_delimiter, value, error);
}
TAKER(take_symbols_delimiter) {
    return take_separator(&args->symbols_delimiter, value, error);
}
TAKER(take_comment) {
    char c = value[0];
    if (c < '!' || c > '~' || value[1] != '\0' || c == '"')
        return bad_value(error, value,
                         "not the beginning of a comment: it is one visible ASCII character but a quote");
    args->dataset.allowed.comment = c;
    return true;
}
/* OLD=NEW,…: an item is cut at its last "=". An empty OLD is the first column without a name. */
TAKER(take_rename) {
    struct text_list items = {0};
    bool good = take_list(&items, value, error);
    for (size_t i = 0; i < items.n && good; i++) {
        const char *equals = strrchr(items.items[i], '=');
        if (!equals || equals[1] == '\0') {
            good = bad_value(error, items.items[i], "not of the form OLD=NEW");
            break;
        }
        char *from = strndup(items.items[i], (size_t)(equals - items.items[i]));
        good = text_list_add(&args->rename_from, from) && text_list_add(&args->rename_to, strdup(equals + 1));
        if (!good) no_memory(error);
    }
    text_list_free(&items);
    return good;
}
TAKER(take_decimal) {
    bool comma;
    if (!take_word(&comma, value, ".", ",", error)) return false;
    args->dataset.numbers.point = comma ? ',' : '.';
    return true;
}
TAKER(take_thousands) {
    char c = strcmp(value, "space") == 0 ? ' ' : value[0];
    if (!strchr(",.' _", c) || c == '\0' || (c == value[0] && value[1] != '\0'))
        return bad_value(error, value, "not a mark between thousands: it is , or . or ' or _ or space");
    args->dataset.numbers.group = c;
    return true;
}
TAKER(take_bad_text) {
    static const char *const words[] = {"error", "missing", "mark"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(value, words[i]) != 0) continue;
        args->dataset.text = (enum dataset_text)i;
        return true;
    }
    return bad_value(error, value, "neither error, missing nor mark");
}

TAKER(take_mixed) {
    static const char *const words[] = {"error", "missing", "text"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(value, words[i]) != 0) continue;
        args->dataset.text = i == 1 ? TEXT_IS_MISSING : TEXT_IS_ERROR;
        args->spec.mixed_is_text = i == 2;
        return true;
    }
    return bad_value(error, value, "neither error, missing nor text");
}

static const struct option OPTIONS[] = {
    {"--slice-by", FILLING, true, "A,B,…", take_slice_by, "columns whose values make the slices"},
    {"--y", FITTING, true, "COLUMN", take_y, "the response"},
    {"--x", FITTING, true, "A,B,…", take_x, "the predictors, in the order of the table"},
    {"--model", FITTING, true, "NAME", take_model, "linear (default) or logistic"},
    {"--positive", FITTING, true, "VALUE", take_positive,
     "logistic: the response's value that counts as 1 (default: the greater); 1.0 is 1"},
    {"--weights", FITTING, true, "COLUMN", take_weights, "weights of the rows"},
    {"--no-intercept", FITTING, true, NULL, take_no_intercept, "fit through the origin"},
    {"--robust", FITTING, true, NULL, take_robust, "linear: add standard errors HC0 to HC3"},
    {"--exact", FITTING, true, NULL, take_exact,
     "linear: compute in 113 bits instead of 64: slower, and rarely needed"},
    {"--confidence", FITTING, true, "LEVEL", take_confidence, "of intervals (default 0.95)"},
    {"--rank-tolerance", FITTING, true, "NUMBER", take_rank_tolerance,
     "when a predictor counts as dependent (1e-10)"},
    {"--missing", FILLING, true, "POLICY", take_missing,
     "the policy for missing values (default drop): see below"},
    {"--missing-column", FILLING, true, "COL=POLICY", take_missing_column,
     "another policy for a column; may be repeated"},
    {"--impute-scope", FILLING, true, "SCOPE", take_scope,
     "fill from the whole table (default) or the slice: table, slice"},
    {"--impute-response", FITTING, true, NULL, take_impute_response,
     "let --missing fill --y too; this biases the fit"},
    {"--k", FILLING, true, "N", take_k, "neighbours of knn (default 5)"},
    {"--weights", JOBS_IMPUTE, true, "WEIGHTS", take_knn_weights, "of knn: uniform (default) or distance"},
    {"--knn-weights", FITTING, true, "WEIGHTS", take_knn_weights, "of knn: uniform (default) or distance"},
    {"--standardise", FILLING, true, NULL, take_standardise,
     "knn: divide columns by their standard deviation first"},
    {"--predictors", FILLING, true, "A,B,…", take_predictors,
     "what knn and logistic go by (default: see below)"},
    {"--drop-missing-keys", FITTING, true, NULL, take_drop_missing_keys,
     "leave out rows without a slice key"},
    {"--variant", JOBS_ASSOCIATE, false, "COLUMN", take_variant, "(default variant_id)"},
    {"--status", JOBS_ASSOCIATE, false, "COLUMN", take_status, "(default disease_status)"},
    {"--patient", JOBS_ASSOCIATE | JOBS_EXPRESSION, false, "COLUMN", take_patient, "(default patient_id)"},
    {"--diseased", JOBS_ASSOCIATE, false, "VALUE", take_diseased,
     "the status of the diseased (default diseased)"},
    {"--healthy", JOBS_ASSOCIATE, false, "VALUE", take_healthy,
     "the status of the healthy (default healthy)"},
    {"--top", JOBS_ASSOCIATE, false, "N", take_top, "how many variants to show, or all (default 5)"},
    {"--min-patients", JOBS_ASSOCIATE, false, "N", take_min_patients,
     "carriers below which a side counts as none (2)"},
    {"--map", JOBS_EXPRESSION, false, "FILE", take_map,
     "CSV of transcript and gene, or of transcript, gene and symbol; needed"},
    {"--map-delimiter", JOBS_EXPRESSION, false, "C", take_map_delimiter,
     "between its fields (default a tabulator in *.tsv, else as --delimiter)"},
    {"--no-map-header", JOBS_EXPRESSION, false, NULL, take_no_map_header, "its first line is data"},
    {"--symbols", JOBS_EXPRESSION, false, "FILE", take_symbols, "CSV of gene and symbol"},
    {"--symbols-delimiter", JOBS_EXPRESSION, false, "C", take_symbols_delimiter, "the same of that file"},
    {"--no-symbols-header", JOBS_EXPRESSION, false, NULL, take_no_symbols_header, "its first line is data"},
    {"--ignore-version", JOBS_EXPRESSION, false, NULL, take_ignore_version,
     "of transcripts, and of genes with --symbols: ENST1.2 is ENST1"},
    {"--transcript", JOBS_EXPRESSION, false, "COLUMN", take_transcript, "(default transcript_id)"},
    {"--tpm", JOBS_EXPRESSION, false, "COLUMN", take_tpm, "(default tpm)"},
    {"--null-as-zero", JOBS_EXPRESSION, false, NULL, take_null_as_zero,
     "a gene all of whose TPM are missing gives 0"},
    {"--na", READING, true, "A,B,…", take_na,
     "texts that mean missing (default the empty cell and NA: \",NA\")"},
    {"--na-add", READING, true, "A,B,…", take_na_add, "further ones, beside those"},
    {"--na-column", READING, true, "COL=A,B,…", take_na_column,
     "other such texts for a column; may be repeated"},
    {"--delimiter", READING, true, "C", take_delimiter,
     "between fields: tab, or any (default a comma; in *.tsv and *.tab a tabulator)"},
    {"--bad-text", FITTING, true, "WHAT", take_bad_text,
     "text where a number is needed, or a negative weight: error (default), missing, mark"},
    {"--bad-text", JOBS_IMPUTE, true, "WHAT", take_mixed,
     "text among more numbers: error (default), missing: a gap too, text: the column is"},
    {"--quoted-numbers", READING, true, NULL, take_quoted_numbers,
     "a cell in quotes may be a number, or (--na) missing where one is needed"},
    {"--decimal", READING, true, "C", take_decimal, "before tenths: . (default) or ,"},
    {"--thousands", READING, true, "C", take_thousands,
     "between groups of three digits: , or . or ' or _ or space"},
    {"--comment", READING, true, "C", take_comment, "leave out lines that begin with C"},
    {"--trim", READING, true, NULL, take_trim,
     "blanks around a cell, or around its quotes, do not belong to it"},
    {"--lenient", READING, true, NULL, take_lenient,
     "leave out lines that are empty or of spaces; nothing else"},
    {"--rename", READING, true, "OLD=NEW,…", take_rename,
     "call columns so, in all options and in the table; =NEW: the row labels"},
    {"--long", FITTING, true, NULL, take_long, "a row per slice and one per term (default)"},
    {"--wide", FITTING, true, NULL, take_wide, "a row per slice, a column per coefficient"},
    {"--part-rows", JOBS_SLICE, false, "N", take_part_rows,
     "rows that slices share a part up to (100000); 1: never"},
    {"--output-dir", JOBS_SLICE, false, "DIR", take_output_dir, "where the parts go; needed"},
    {"--clear", JOBS_SLICE, false, NULL, take_clear, "remove the parts of an earlier run from there first"},
    {"--output", (READING | JOBS_COMBINE) & ~(unsigned)JOBS_SLICE, false, "FILE", take_output,
     "write there instead of standard output (-), when it is whole"},
    {"--format", TABLES | JOBS_ASSOCIATE | JOBS_EXPRESSION, false, "FORMAT", take_format,
     "csv or json (default csv; on a terminal, columns that fit its width)"},
    {"--no-pager", TABLES, false, NULL, take_no_pager,
     "a wide table on a terminal: in blocks of columns, instead of $PAGER (less)"},
    {"--plot", JOBS_FIT, false, "DIR", take_plot,
     "draw each slice, and pages of overview, as SVG files there"},
    {"--threads", JOBS_FIT, false, "N", take_threads, "(default one per core)"},
    {"--memory", FILLING | JOBS_COMBINE, false, "SIZE", take_memory,
     "for rows (default 1G); more rows go to temporary files"},
    {"--scratch-dir", FILLING | JOBS_COMBINE, false, "DIR", take_scratch_dir,
     "for those (default $TMPDIR, or /var/tmp)"},
    {"--quiet", READING | JOBS_COMBINE, false, NULL, take_quiet,
     "say nothing on standard error but errors: no notes, no progress"},
};
#define N_OPTIONS (sizeof OPTIONS / sizeof *OPTIONS)

/* ---- parsing ----------------------------------------------------------------------------------------- */

static const struct option *find_option(enum jobs_command command, const char *word, size_t length) {
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &OPTIONS[i];
        if ((o->commands & command) && strlen(o->name) == length && strncmp(o->name, word, length) == 0)
            return o;
    }
    return NULL;
}

/* Takes the option at argv[*at], and its value. */
static bool take_option(struct jobs_args *args, int argc, char **argv, int *at, struct jobs_error *error) {
    const char *word = argv[*at], *equals = strchr(word, '='), *value = "";
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *o = find_option(args->command, word, length);
    if (!o) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "there is no option %.*s", length < 100 ? (int)length : 100,
                         word);
    }
    if (o->value && equals) {
        value = equals + 1;
    } else if (o->value && ++*at == argc) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "%s needs a value: %s %s", o->name, o->name, o->value);
    } else if (o->value) {
        value = argv[*at];
    } else if (equals) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "%s takes no value", o->name);
    }
    struct jobs_error why = {0};
    if (o->model) args->about_model = o->name;
    if (o->take(args, value, &why)) return true;
    return jobs_fail(error, why.fault, "%s: %s", o->name, why.text);
}

static bool take_words(struct jobs_args *args, int argc, char **argv, struct jobs_error *error) {
    bool options = true;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            args->help = true;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            if (!take_option(args, argc, argv, &at, error)) return false;
        } else if (*word == '\0') {
            return jobs_fail(error, JOBS_FAULT_USAGE, "FILE is empty; name a file, or - for standard input");
        } else if (!text_list_add(&args->files, strdup(word))) {
            return no_memory(error);
        }
    }
    return true;
}

/* The missing texts of --na and --na-add, in one list. */
static bool join_na(struct jobs_args *args, struct jobs_error *error) {
    const char *given = args->dataset.na ? args->dataset.na : NA_DEFAULT;
    size_t room = strlen(given) + 1;
    if (args->na_more.n == 0) return true;
    for (size_t i = 0; i < args->na_more.n; i++) room += strlen(args->na_more.items[i]) + 1;
    args->na = malloc(room);
    if (!args->na) return no_memory(error);
    size_t used = (size_t)snprintf(args->na, room, "%s", given);
    for (size_t i = 0; i < args->na_more.n; i++)
        used += (size_t)snprintf(args->na + used, room - used, "%s%s", used > 0 ? "," : "",
                                 args->na_more.items[i]);
    args->dataset.na = args->na;
    return true;
}

static void lend_to_spec(struct jobs_args *args) {
    struct grouped_spec *spec = &args->spec;
    spec->slice_by = args->slice_by.items;
    spec->n_slice_by = args->slice_by.n;
    spec->x = args->x.items;
    spec->n_x = args->x.n;
    spec->predictors = args->predictors.items;
    spec->n_predictors = args->predictors.n;
    spec->missing_columns = args->missing_columns.items;
    spec->missing_of = args->missing_of;
    spec->n_missing_columns = args->missing_columns.n;
    args->dataset.rename_from = args->rename_from.items;
    args->dataset.rename_to = args->rename_to.items;
    args->dataset.n_renames = args->rename_to.n;
    args->dataset.na_columns = args->na_columns.items;
    args->dataset.na_of = args->na_of.items;
    args->dataset.n_na_columns = args->na_columns.n;
}

static bool check_files(const struct jobs_args *args, struct jobs_error *error) {
    size_t dashes = 0;
    for (size_t i = 0; i < args->files.n; i++) dashes += strcmp(args->files.items[i], "-") == 0;
    dashes += args->map && strcmp(args->map, "-") == 0;
    dashes += args->symbols && strcmp(args->symbols, "-") == 0;
    if (args->files.n == 0) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "no FILE is named; name one, or - for standard input");
    }
    return dashes < 2 || jobs_fail(error, JOBS_FAULT_USAGE, "standard input (-) can be read only once");
}

/* Refuses an option that would have no effect: the user who gives it relies on it. */
static bool check_model(const struct jobs_args *args, struct jobs_error *error) {
    const struct grouped_spec *spec = &args->spec;
    bool logistic = spec->model == MODEL_LOGISTIC;
    const char *idle = logistic && spec->linear.robust  ? "--robust"
                       : logistic && spec->linear.exact ? "--exact"
                       : !logistic && spec->positive    ? "--positive"
                                                        : NULL;
    return !idle || jobs_fail(error, JOBS_FAULT_USAGE, "%s: it is for --model %s", idle,
                              logistic ? "linear" : "logistic");
}

static bool check_reading(const struct jobs_args *args, struct jobs_error *error) {
    const struct decimal_style *numbers = &args->dataset.numbers;
    if (args->dataset.allowed.comment && args->dataset.allowed.comment == args->dataset.delimiter)
        return jobs_fail(error, JOBS_FAULT_USAGE, "--comment: \"%c\" is the delimiter",
                         args->dataset.delimiter);
    if (args->dataset.allowed.trim && args->dataset.delimiter == ' ')
        return jobs_fail(error, JOBS_FAULT_USAGE, "--trim: a space is the delimiter");
    if (numbers->group && numbers->group == (numbers->point ? numbers->point : '.')) {
        return jobs_fail(error, JOBS_FAULT_USAGE,
                         "--thousands: \"%c\" stands before tenths; name another (--decimal)",
                         numbers->group);
    }
    return true;
}

static bool check_needed(const struct jobs_args *args, struct jobs_error *error) {
    if (!check_files(args, error) || !check_model(args, error) || !check_reading(args, error)) return false;
    if (args->command == JOBS_EXPRESSION && !args->map) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "--map is needed: a CSV file of transcript and gene");
    }
    if (!args->symbols && (args->symbols_delimiter || args->no_symbols_header)) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "%s: it is for --symbols, which is not given",
                         args->symbols_delimiter ? "--symbols-delimiter" : "--no-symbols-header");
    }
    if (args->command == JOBS_SLICE && !args->output_dir) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "--output-dir is needed: the folder for the parts");
    }
    if (args->command == JOBS_IMPUTE && !args->has_missing && args->missing_columns.n == 0) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "--missing is needed: one of " MISSING_POLICIES);
    }
    if (args->command == JOBS_IMPUTE && args->spec.within_slice != (args->slice_by.n > 0)) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "--impute-scope slice and --slice-by need each other");
    }
    if (args->command == JOBS_IMPUTE && args->has_missing && args->spec.missing == MISSING_DROP &&
        args->missing_columns.n == 0) {
        return jobs_fail(
            error, JOBS_FAULT_USAGE,
            "--missing: drop is about the columns of a model; choose drop_any, or name the columns "
            "(--missing-column COL=drop)");
    }
    if (args->genomics.diseased && args->genomics.healthy &&
        strcmp(args->genomics.diseased, args->genomics.healthy) == 0) {
        return jobs_fail(error, JOBS_FAULT_USAGE, "--diseased and --healthy name the same value");
    }
    return true;
}

bool jobs_args_parse(struct jobs_args *args, int argc, char **argv, struct jobs_error *error) {
    *args = (struct jobs_args){.command = argc > 0 ? jobs_command_find(argv[0]) : 0};
    bool good = args->command || jobs_fail(error, JOBS_FAULT_USAGE, "there is no such command");
    good = good && take_words(args, argc, argv, error);
    good = good && join_na(args, error);
    lend_to_spec(args);
    good = good && (args->help || check_needed(args, error));
    if (!good) jobs_args_free(args);
    return good;
}

void jobs_args_free(struct jobs_args *args) {
    text_list_free(&args->files);
    text_list_free(&args->slice_by);
    text_list_free(&args->x);
    text_list_free(&args->predictors);
    text_list_free(&args->missing_columns);
    text_list_free(&args->na_columns);
    text_list_free(&args->na_of);
    text_list_free(&args->na_more);
    text_list_free(&args->rename_from);
    text_list_free(&args->rename_to);
    free(args->na);
    free(args->missing_of);
    *args = (struct jobs_args){0};
}

/* ---- help -------------------------------------------------------------------------------------------- */

static const struct {
    enum jobs_command command;
    const char *name, *words, *summary, *more;
} COMMANDS[] = {
    {JOBS_FIT, "fit", "FILE… --y COLUMN [--x A,B,…] [--slice-by A,B,…] [OPTION…]\n       … fit PART",
     "fit a model to every slice of a table",
     "FILE is a CSV file with a header, or - for standard input; or a part that jobs slice wrote, which says "
     "itself\n"
     "what to fit. Prints a table with a row per slice and one per term; --wide has one row per slice.\n"},
    {JOBS_IMPUTE, "impute", "FILE… --missing POLICY [OPTION…]", "fill missing values",
     "Prints the table with its gaps filled; observed values stay as they were written. A policy that says "
     "nothing\n"
     "about text (mean, median, knn) leaves text as it is. drop leaves out rows with a gap in a column that "
     "--missing-\n"
     "column names, drop_any rows with a gap anywhere.\n"},
    {JOBS_ASSOCIATE, "associate", "FILE… [OPTION…]", "rank variants by how differently patients carry them",
     "FILE has a row per patient and variant. Frequencies count distinct patients.\n"},
    {JOBS_EXPRESSION, "expression", "FILE… --map MAP [OPTION…]", "log2 of the TPM sums of genes",
     "FILE has a row per patient and transcript. Prints log2(sum of TPM + 1) per patient and gene; rows that "
     "were left\n"
     "out are counted on standard error. A MAP that has a gene for none of its transcripts, or one "
     "of them for\n"
     "a header, is "
     "an error.\n"},
    {JOBS_SLICE, "slice", "FILE… --y COLUMN [--x A,B,…] [--slice-by A,B,…] --output-dir DIR [OPTION…]",
     "first of the three steps of a fit: parts of whole slices",
     "Takes what jobs fit takes, and writes parts that can be fitted anywhere (jobs fit PART) and whose "
     "tables then go\n"
     "together (jobs combine). Prints the parts' names.\n"},
    {JOBS_COMBINE, "combine", "TABLE… [OPTION…]", "last of them: one table of many",
     "The table is the same, byte for byte, as one jobs fit would have printed, in whatever order tables are "
     "named.\n"},
};
#define N_COMMANDS (sizeof COMMANDS / sizeof *COMMANDS)

enum jobs_command jobs_command_find(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) return COMMANDS[i].command;
    }
    return 0;
}

const char *jobs_command_name(enum jobs_command command) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (COMMANDS[i].command == command) return COMMANDS[i].name;
    }
    return "";
}

static const char FILES[] = "\nA FILE is CSV with a header line, or - is standard input. Several are read "
                            "one after the other, as one table; "
                            "they have\n"
                            "the same header. 'a-*.csv' in quotes stands for the files it matches, in the "
                            "order of their names. Also packed "
                            "(.csv.gz),\n"
                            "and UTF-16 with a byte order mark. A first column without a name has row "
                            "labels. docs/jobs.md says more.\n";

static const char POLICIES[] =
    "\nPolicies for missing values:\n"
    "  drop       leave out rows where a column of the model is missing\n"
    "  drop_any   leave out rows where any column is missing\n"
    "  mean, median, mode   of the observed; mode also for text\n"
    "  knn        the mean of the nearest rows that have the value; the mean of the column where no such row "
    "has a\n"
    "             value in common with this one, which is counted\n"
    "  logistic   text: the likeliest value by a logistic model; numbers: the mean\n"
    "  indicator  numbers: the mean, and a column missingindicator_COLUMN; text: the value __missing__\n"
    "knn and logistic go by the numeric columns of --x (fit, slice), never by --y unless --predictors names "
    "it, or\n"
    "by every numeric column but the slice columns (impute). A gap's own column takes no part in its "
    "distances.\n";

static const char TABLE[] =
    "\nThe table (names are those of R's broom; p is the number of coefficients; undefined is empty):\n"
    "  status            ok, saturated (n = p), too_few_rows (n < p), rank_deficient (see dropped_terms),\n"
    "                    constant_response, separation, not_converged, parse_error (see --bad-text)\n"
    "  n, n_dropped      rows that were fitted, and rows left out (a gap, or a weight of 0); n_rows: both\n"
    "  n_imputed         cells that were filled; n_imputed_by_mean: those of them that knn or logistic gave "
    "the mean\n"
    "  sigma, rmse       sqrt(rss / (n - p)), sqrt(rss / n)\n"
    "  r_squared         without an intercept 1 - rss / (sum of y squared)\n"
    "  aic, bic          as R has them, sigma counts too: aic = -2 log_lik + 2 (p + 1); logistic: 2 p\n"
    "  condition         of the centred predictors, scaled to one length\n"
    "  digits_estimate   digits of a coefficient that this leaves: 15 - log10(condition)\n";

static const char TERMINAL[] = "\nOn a terminal a table has aligned columns, in blocks that fit its width "
                               "(or $COLUMNS, or 80), and standard error "
                               "shows\n"
                               "how far the command is. Pipes and files get neither.\n";

void jobs_args_help(enum jobs_command command, FILE *out) {
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (COMMANDS[i].command != command) continue;
        fprintf(out, "Usage: rookery-worker jobs %s %s\n\n%s\nOptions:\n", COMMANDS[i].name,
                COMMANDS[i].words, COMMANDS[i].more);
    }
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &OPTIONS[i];
        char left[64];
        if (!(o->commands & command)) continue;
        snprintf(left, sizeof left, "%s %s", o->name, o->value ? o->value : "");
        /* The ellipsis is three bytes and one column. */
        fprintf(out, "  %-*s %s\n", 28 + (strstr(left, "…") ? 2 : 0), left, o->help);
    }
    if (command & READING) fputs(FILES, out);
    if (command & FILLING) fputs(POLICIES, out);
    if (command & JOBS_FIT) fputs(TABLE, out);
    if (command & (TABLES | JOBS_ASSOCIATE | JOBS_EXPRESSION)) fputs(TERMINAL, out);
    fputs("\nExit status: 0, 1 for trouble with the data, 2 for bad arguments.\n", out);
}

void jobs_args_overview(FILE *out) {
    fputs("Usage: rookery-worker jobs COMMAND …      (rookery-worker jobs COMMAND --help says more)\n\n",
          out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-11s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
}
