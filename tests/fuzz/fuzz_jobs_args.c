/* The words of `rookery-worker jobs`. What is promised: no crash; words that are refused give one sentence and leave
 * nothing to free; words that are taken give options within their ranges and names that are not empty.
 *
 * An input is the words, one a line.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "workers/jobs/command/args.h"

#define WORDS_MAX 64

static void check_list(const struct text_list *list) {
    for (size_t i = 0; i < list->n; i++) assert(list->items[i][0] != '\0');
}

static void check_args(const struct jobs_args *args) {
    const struct grouped_spec *spec = &args->spec;
    assert(jobs_command_find(jobs_command_name(args->command)) == args->command);
    check_list(&args->files);
    check_list(&args->slice_by);
    check_list(&args->x);
    check_list(&args->predictors);
    check_list(&args->missing_columns);
    assert(args->na_columns.n == args->na_of.n);
    assert(spec->threads <= GROUPED_THREADS_MAX);
    assert(spec->memory == 0 || spec->memory >= GROUPED_MEMORY_MIN);
    assert(spec->missing_options.k <= MISSING_K_MAX);
    assert(spec->linear.confidence >= 0 && spec->linear.confidence < 1);
    assert(spec->missing <= MISSING_INDICATOR);
    for (size_t i = 0; i < spec->n_missing_columns; i++) assert(spec->missing_of[i] <= MISSING_INDICATOR);
    if (args->help) return;
    assert(args->files.n >= 1);
    assert(args->rename_from.n == args->rename_to.n);
    check_list(&args->rename_to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1), *words[WORDS_MAX + 1];
    struct jobs_error error = {0};
    struct jobs_args args;
    int n = 0;
    assert(text);
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text; at && n < WORDS_MAX;) {
        words[n++] = at;
        at = strchr(at, '\n');
        if (at) *at++ = '\0';
    }
    words[n] = NULL;
    if (jobs_args_parse(&args, n, words, &error)) {
        assert(error.fault == JOBS_FAULT_NONE);
        check_args(&args);
        jobs_args_free(&args);
    } else {
        assert(error.fault == JOBS_FAULT_USAGE && error.text[0] != '\0');
        assert(args.files.items == NULL && args.x.items == NULL && args.missing_of == NULL);
    }
    free(text);
    return 0;
}

static const char *const seeds[] = {
    "fit\nFILE.csv\n--slice-by\nspecies,sex\n--y\nflipper\n--x\na,b,c\n--missing\nknn\n--k\n5\n--knn-weights="
    "distance",
    "fit\n--model=logistic\n--positive\nyes\n--y=sex\n--wide\n--output\nout.csv\n--format\njson\n-\n--"
    "threads\n8",
    "fit\nf\n--y\ny\n--missing-column\nx=mean\n--missing-column\na=b=mode\n--na\n,NA,-9\n--na-column\nx=?,.",
    "fit\nf\n--y\ny\n--weights\nw\n--no-intercept\n--robust\n--exact\n--confidence\n0.9\n--rank-"
    "tolerance\n1e-8",
    "impute\nf\n--missing\nmean\n--impute-scope\nslice\n--slice-by\n\"a,b\",\"say "
    "\"\"x\"\"\"\n--weights\nuniform",
    "associate\nf\n--variant\nv\n--status\ns\n--patient\np\n--diseased\n1\n--healthy\n0\n--top\nall\n--min-"
    "patients\n3",
    "expression\nf\n--map\nm\n--symbols\ns\n--patient\np\n--transcript\nt\n--tpm\nx\n--null-as-zero\n--"
    "delimiter\ntab",
    "slice\nf\n--y\ny\n--output-dir\nd\n--part-rows\n1\n--memory\n4G\n--scratch-dir\n/"
    "tmp\n--quiet\n--quoted-numbers",
    "fit\na.csv\nb*.csv\n--y\ny\n--na-add\n-9,x\n--decimal\n,\n--thousands\n.\n--comment\n#\n--trim\n--"
    "lenient\n"
    "--rename\nn=k,=id,\"a,b\"=c",
    "expression\nf\n--map\nm.tsv\n--map-delimiter\n;\n--no-map-header\n--symbols\ns\n--symbols-"
    "delimiter\ntab\n"
    "--no-symbols-header\n--ignore-version",
    "combine\na\nb\n-\n--memory=512M\n--\n--format",
    "fit\n--help",
};

bool fuzz_seed(size_t i, struct buf *out) {
    if (i >= sizeof seeds / sizeof *seeds) return false;
    buf_append_cstr(out, seeds[i]);
    return true;
}
