/* The words of `rookery-worker jobs`: what each option sets, and the sentence for each word that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/failing_malloc.h"
#include "workers/jobs/command/args.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A line cut at its blanks; "_" is the empty word. */
struct line {
    char text[512];
    char *words[64];
    int n;
};

static const struct line *cut(struct line *l, const char *text) {
    assert_true(strlen(text) < sizeof l->text);
    strcpy(l->text, text);
    l->n = 0;
    for (char *word = strtok(l->text, " "); word; word = strtok(NULL, " "))
        l->words[l->n++] = strcmp(word, "_") == 0 ? word + 1 : word;
    l->words[l->n] = NULL;
    return l;
}

static struct line line;

static struct jobs_args taken(const char *text) {
    struct jobs_args args;
    struct jobs_error error = {0};
    cut(&line, text);
    bool good = jobs_args_parse(&args, line.n, line.words, &error);
    if (!good) print_error("%s: %s\n", text, error.text);
    assert_true(good);
    assert_int_equal(error.fault, JOBS_FAULT_NONE);
    return args;
}

static void assert_refused(const char *text, const char *sentence) {
    struct jobs_args args;
    struct jobs_error error = {0};
    cut(&line, text);
    bool good = jobs_args_parse(&args, line.n, line.words, &error);
    if (good || !strstr(error.text, sentence)) print_error("%s: %s\n", text, error.text);
    assert_false(good);
    assert_int_equal(error.fault, JOBS_FAULT_USAGE);
    assert_non_null(strstr(error.text, sentence));
    assert_null(args.files.items);
}

static void assert_names(const char *const *items, size_t n, const char *expected) {
    char joined[256] = "";
    for (size_t i = 0; i < n; i++) {
        strcat(joined, i ? "|" : "");
        strcat(joined, items[i]);
    }
    assert_string_equal(joined, expected);
}

/* ---- commands and files ---- */

static void commands_are_known_by_name(void **state) {
    static const struct {
        const char *name;
        enum jobs_command command;
    } cases[] = {{"fit", JOBS_FIT},
                 {"impute", JOBS_IMPUTE},
                 {"associate", JOBS_ASSOCIATE},
                 {"expression", JOBS_EXPRESSION},
                 {"slice", JOBS_SLICE},
                 {"combine", JOBS_COMBINE}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(jobs_command_find(cases[i].name), cases[i].command);
        assert_string_equal(jobs_command_name(cases[i].command), cases[i].name);
    }
    assert_int_equal(jobs_command_find("fits"), 0);
    assert_string_equal(jobs_command_name(0), "");
    assert_refused("fits data.csv", "there is no such command");
    assert_refused("", "there is no such command");
}

static void files_may_stand_anywhere(void **state) {
    (void)state;
    struct jobs_args args = taken("combine a --quiet b --no-pager -- --c -");
    assert_names(args.files.items, args.files.n, "a|b|--c|-");
    assert_true(args.quiet && args.no_pager);
    assert_int_equal(args.command, JOBS_COMBINE);
    jobs_args_free(&args);
    assert_null(args.files.items);
    args = taken("fit -");
    assert_names(args.files.items, args.files.n, "-");
    jobs_args_free(&args);
}

static void files_are_as_many_as_a_command_reads(void **state) {
    (void)state;
    assert_refused("fit", "no FILE is named");
    assert_refused("fit --y y", "no FILE is named");
    struct jobs_args args = taken("fit a --y y b");
    assert_names(args.files.items, args.files.n, "a|b");
    jobs_args_free(&args);
    assert_refused("impute - - --missing mean", "can be read only once");
    assert_refused("expression - --map -", "can be read only once");
    assert_refused("expression f --map - --symbols -", "can be read only once");
    assert_refused("combine - a -", "can be read only once");
    assert_refused("fit _", "FILE is empty");
}

static void help_asks_for_nothing_else(void **state) {
    (void)state;
    struct jobs_args args = taken("expression --help");
    assert_true(args.help);
    jobs_args_free(&args);
    args = taken("expression -h");
    assert_true(args.help);
    jobs_args_free(&args);
    args = taken("combine -- --help -h");
    assert_false(args.help);
    assert_int_equal(args.files.n, 2);
    jobs_args_free(&args);
    assert_refused("fit --help --nonsense", "there is no option --nonsense");
}

/* ---- options ---- */

static void an_option_takes_its_value_from_the_next_word_or_its_own(void **state) {
    (void)state;
    struct jobs_args args = taken("fit f --y=a=b --x c");
    assert_string_equal(args.spec.y, "a=b");
    assert_names(args.spec.x, args.spec.n_x, "c");
    jobs_args_free(&args);
    assert_refused("fit f --y", "--y needs a value: --y COLUMN");
    assert_refused("fit f --robust=1", "--robust takes no value");
    assert_refused("fit f --y _", "--y: it is empty");
    assert_refused("fit f --y=", "--y: it is empty");
    assert_refused("fit f --yy a", "there is no option --yy");
    assert_refused("fit f --Y=a", "there is no option --Y");
    assert_refused("fit f -y a", "there is no option -y");
    assert_refused("fit f --map a", "there is no option --map"); /* another command's */
}

static void a_fit_is_described_by_its_options(void **state) {
    (void)state;
    struct jobs_args args = taken(
        "fit f --slice-by a,b --y y --x c,d --weights w --no-intercept --robust --exact --confidence 0.9 "
        "--rank-tolerance 1e-8 --impute-scope slice --impute-response --k 7 --knn-weights distance "
        "--standardise --predictors e,f --drop-missing-keys --quoted-numbers --wide --plot p --threads 3 "
        "--scratch-dir s --output o --format json --quiet");
    const struct grouped_spec *s = &args.spec;
    assert_names(s->slice_by, s->n_slice_by, "a|b");
    assert_names(s->x, s->n_x, "c|d");
    assert_names(s->predictors, s->n_predictors, "e|f");
    assert_string_equal(s->y, "y");
    assert_string_equal(s->weights, "w");
    assert_true(s->linear.no_intercept && s->linear.robust && s->linear.exact);
    assert_true(s->linear.confidence == 0.9 && s->linear.rank_tolerance == 1e-8);
    assert_true(s->within_slice && s->impute_response && s->drop_missing_keys && s->wide);
    assert_int_equal(s->missing_options.k, 7);
    assert_true(s->missing_options.distance && s->missing_options.standardise);
    assert_true(args.dataset.quoted_numbers && args.has_format && args.quiet);
    assert_int_equal(s->format, RESULTS_JSON);
    assert_int_equal(s->model, MODEL_LINEAR);
    assert_int_equal(s->threads, 3);
    assert_string_equal(s->plot_dir, "p");
    assert_string_equal(s->scratch_dir, "s");
    assert_string_equal(args.output, "o");
    assert_string_equal(args.about_model, "--wide");
    jobs_args_free(&args);
}

static void nothing_is_set_that_was_not_asked_for(void **state) {
    (void)state;
    struct jobs_args args = taken("fit f --quiet");
    const struct grouped_spec *s = &args.spec;
    assert_false(args.help || args.has_missing || args.has_format || args.genomics.null_as_zero);
    assert_false(s->linear.no_intercept || s->linear.robust || s->linear.exact || s->within_slice);
    assert_false(s->impute_response || s->drop_missing_keys || s->wide || args.dataset.quoted_numbers);
    assert_false(s->missing_options.distance || s->missing_options.standardise);
    assert_true(s->memory == 0 && s->threads == 0 && s->missing_options.k == 0 && args.genomics.top == 0);
    assert_null(args.about_model); /* --quiet says nothing of the model */
    jobs_args_free(&args);
}

static void of_two_that_exclude_each_other_the_last_counts(void **state) {
    (void)state;
    struct jobs_args args =
        taken("fit f --wide --long --format json --format csv --model logistic --model linear");
    assert_false(args.spec.wide);
    assert_int_equal(args.spec.format, RESULTS_CSV);
    assert_int_equal(args.spec.model, MODEL_LINEAR);
    assert_string_equal(args.about_model, "--model");
    jobs_args_free(&args);
}

static void the_other_commands_have_options_of_their_own(void **state) {
    (void)state;
    struct jobs_args args =
        taken("associate f --variant v --status s --patient p --diseased d --healthy h --top 9 "
              "--min-patients 4");
    assert_string_equal(args.genomics.variant, "v");
    assert_string_equal(args.genomics.status, "s");
    assert_string_equal(args.genomics.patient, "p");
    assert_string_equal(args.genomics.diseased, "d");
    assert_string_equal(args.genomics.healthy, "h");
    assert_int_equal(args.genomics.top, 9);
    assert_int_equal(args.genomics.min_patients, 4);
    jobs_args_free(&args);
    args = taken("associate f --top all");
    assert_true(args.genomics.top == SIZE_MAX);
    jobs_args_free(&args);
    args = taken("expression f --map m --symbols s --transcript t --tpm p --null-as-zero");
    assert_string_equal(args.map, "m");
    assert_string_equal(args.symbols, "s");
    assert_string_equal(args.genomics.transcript, "t");
    assert_string_equal(args.genomics.tpm, "p");
    assert_true(args.genomics.null_as_zero);
    jobs_args_free(&args);
    args = taken("slice f --output-dir d --part-rows 1");
    assert_string_equal(args.output_dir, "d");
    assert_int_equal(args.part_rows, 1);
    assert_false(args.clear);
    jobs_args_free(&args);
    args = taken("slice f --output-dir d --clear");
    assert_true(args.clear);
    jobs_args_free(&args);
    args = taken("impute f --missing knn --weights distance");
    assert_true(args.spec.missing_options.distance);
    assert_int_equal(args.spec.missing, MISSING_KNN);
    assert_true(args.has_missing);
    jobs_args_free(&args);
    assert_refused("slice f --output-dir d --output o", "there is no option --output");
}

/* ---- values ---- */

static void names_with_commas_stand_in_quotes(void **state) {
    (void)state;
    struct jobs_args args = taken("fit f --x a,\"b,c\",\"d\"\"e\",f\"g");
    assert_names(args.spec.x, args.spec.n_x, "a|b,c|d\"e|f\"g");
    jobs_args_free(&args);
    args = taken("fit f --x a --x b,c");
    assert_names(args.spec.x, args.spec.n_x, "a|b|c");
    jobs_args_free(&args);
    assert_refused("fit f --x _", "one of them is empty");
    assert_refused("fit f --x a,", "one of them is empty");
    assert_refused("fit f --x ,a", "one of them is empty");
    assert_refused("fit f --x a,,b", "one of them is empty");
    assert_refused("fit f --x \"\"", "one of them is empty");
    assert_refused("fit f --x \"a", "begins with a quote ends with one");
    assert_refused("fit f --x \"a\"b", "begins with a quote ends with one");
    assert_refused("fit f --x a,\"b", "begins with a quote ends with one");
}

static void a_count_is_a_whole_number_within_its_bounds(void **state) {
    static const struct {
        const char *words;
        size_t low, high;
    } cases[] = {
        {"fit f --k", 1, MISSING_K_MAX},
        {"fit f --threads", 1, GROUPED_THREADS_MAX},
        {"slice f --output-dir d --part-rows", 1, UINT32_MAX},
        {"associate f --min-patients", 1, UINT32_MAX},
        {"associate f --top", 1, UINT32_MAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[128], sentence[128];
        snprintf(sentence, sizeof sentence, "is not a whole number from %zu to %zu", cases[i].low,
                 cases[i].high);
        const size_t good[] = {cases[i].low, cases[i].high};
        for (size_t k = 0; k < 2; k++) {
            snprintf(text, sizeof text, "%s %zu", cases[i].words, good[k]);
            struct jobs_args args = taken(text);
            size_t got = args.spec.missing_options.k + args.spec.threads + args.part_rows +
                         args.genomics.min_patients + args.genomics.top;
            assert_int_equal(got, good[k]);
            jobs_args_free(&args);
        }
        const char *const bad[] = {"0", "-1", "1.5", "x", "3x", "_"};
        for (size_t k = 0; k < COUNT_OF(bad); k++) {
            snprintf(text, sizeof text, "%s %s", cases[i].words, bad[k]);
            assert_refused(text, sentence);
        }
        snprintf(text, sizeof text, "%s %zu", cases[i].words, cases[i].high + 1);
        assert_refused(text, sentence);
    }
}

static void a_level_lies_between_0_and_1(void **state) {
    static const char *const bad[] = {"0", "1", "-0.5", "2", "x", "_"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char text[64];
        snprintf(text, sizeof text, "fit f --confidence %s", bad[i]);
        assert_refused(text, "not a number between 0 and 1");
        snprintf(text, sizeof text, "fit f --rank-tolerance %s", bad[i]);
        assert_refused(text, "not a number between 0 and 1");
    }
}

static void a_size_may_have_a_unit(void **state) {
    static const struct {
        const char *value;
        size_t bytes; /* 0: refused */
    } cases[] = {
        {"1048576", 1 << 20},
        {"1048575", 0},
        {"1024K", 1 << 20},
        {"1023K", 0},
        {"1M", 1 << 20},
        {"512M", 512u << 20},
        {"4G", (size_t)4 << 30},
        {"1T", (size_t)1 << 40},
        {"1024T", (size_t)1 << 50},
        {"1025T", 0},
        {"M", 0},
        {"1m", 0},
        {"1.5G", 0},
        {"1MB", 0},
        {"-1M", 0},
        {"_", 0},
        {"2000000K", (size_t)2000000 << 10},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[64];
        snprintf(text, sizeof text, "fit f --memory %s", cases[i].value);
        if (cases[i].bytes == 0) {
            assert_refused(text, "not a size of at least 1M");
            continue;
        }
        struct jobs_args args = taken(text);
        assert_int_equal(args.spec.memory, cases[i].bytes);
        jobs_args_free(&args);
    }
}

static void a_delimiter_is_one_ascii_character(void **state) {
    (void)state;
    struct jobs_args args = taken("fit f --delimiter ;");
    assert_int_equal(args.dataset.delimiter, ';');
    jobs_args_free(&args);
    args = taken("fit f --delimiter tab");
    assert_int_equal(args.dataset.delimiter, '\t');
    jobs_args_free(&args);
    args = taken("fit f --delimiter \\t");
    assert_int_equal(args.dataset.delimiter, '\t');
    jobs_args_free(&args);
    args = taken("fit f --delimiter \x7F");
    assert_int_equal(args.dataset.delimiter, 0x7F);
    jobs_args_free(&args);
    static const char *const bad[] = {"_", ";;", "\"", "\r", "\n", "\x80", "tabs"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char text[64];
        snprintf(text, sizeof text, "fit f --delimiter %s", bad[i]);
        assert_refused(text, "not a delimiter");
    }
}

static void words_of_a_choice_are_exact(void **state) {
    (void)state;
    assert_refused("fit f --model logit", "\"logit\" is neither linear nor logistic");
    assert_refused("fit f --format xml", "\"xml\" is neither csv nor json");
    assert_refused("fit f --impute-scope all", "\"all\" is neither table nor slice");
    assert_refused("fit f --knn-weights even", "\"even\" is neither uniform nor distance");
    assert_refused("fit f --bad-text drop", "neither error, missing nor mark");
    assert_refused("fit f --missing none", "no policy for missing values");
    static const char *const words[] = {"error", "missing", "mark"};
    for (unsigned i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "fit f --bad-text %s", words[i]);
        struct jobs_args args = taken(text);
        assert_int_equal(args.dataset.text, i);
        jobs_args_free(&args);
    }
    assert_refused("impute f --missing mean --bad-text mark", "neither error, missing nor text");
    struct jobs_args args = taken("impute f --missing mean --bad-text missing");
    assert_int_equal(args.dataset.text, TEXT_IS_MISSING);
    assert_false(args.spec.mixed_is_text);
    jobs_args_free(&args);
    args = taken("impute f --missing mean --bad-text text");
    assert_int_equal(args.dataset.text, TEXT_IS_ERROR);
    assert_true(args.spec.mixed_is_text);
    jobs_args_free(&args);
}

static void columns_may_have_policies_and_missing_texts_of_their_own(void **state) {
    (void)state;
    struct jobs_args args =
        taken("fit f --missing mean --missing-column a=b=knn --missing-column c=drop --na x,y "
              "--na-column d=n,m --na-column e=");
    const struct grouped_spec *s = &args.spec;
    assert_int_equal(s->missing, MISSING_MEAN);
    assert_names(s->missing_columns, s->n_missing_columns, "a=b|c");
    assert_int_equal(s->missing_of[0], MISSING_KNN);
    assert_int_equal(s->missing_of[1], MISSING_DROP);
    assert_string_equal(args.dataset.na, "x,y");
    assert_names(args.dataset.na_columns, args.dataset.n_na_columns, "d|e");
    assert_names(args.dataset.na_of, 2, "n,m|");
    jobs_args_free(&args);
    assert_refused("fit f --missing-column a", "not of the form COLUMN=VALUE");
    assert_refused("fit f --missing-column =knn", "not of the form COLUMN=VALUE");
    assert_refused("fit f --missing-column a=none", "no policy for missing values");
    assert_refused("fit f --na-column a", "not of the form COLUMN=VALUE");
}

static void missing_texts_are_added_to_those_there_are(void **state) {
    static const struct {
        const char *words, *list;
    } cases[] = {
        {"fit f --na-add -9", ",NA,-9"},    {"fit f --na-add a,b --na-add c", ",NA,a,b,c"},
        {"fit f --na-add a --na x", "x,a"}, {"fit f --na _ --na-add a", "a"},
        {"fit f --na , --na-add a", ",,a"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jobs_args args = taken(cases[i].words);
        assert_string_equal(args.dataset.na, cases[i].list);
        jobs_args_free(&args);
    }
    assert_refused("fit f --na-add _", "--na-add: it is empty");
}

static void files_are_read_as_they_are_described(void **state) {
    (void)state;
    struct jobs_args args =
        taken("fit f --decimal , --thousands . --comment # --trim --lenient --rename a=b");
    const struct dataset_options *o = &args.dataset;
    assert_true(o->numbers.point == ',' && o->numbers.group == '.');
    assert_true(o->allowed.comment == '#' && o->allowed.trim && o->allowed.blank_lines &&
                !o->allowed.no_header);
    jobs_args_free(&args);
    args = taken("fit f --decimal . --thousands space --rename a=b --rename =id,x=y=z");
    assert_true(o->numbers.point == '.' && o->numbers.group == ' ');
    assert_names(o->rename_from, o->n_renames, "a||x=y");
    assert_names(o->rename_to, o->n_renames, "b|id|z");
    jobs_args_free(&args);
    assert_refused("fit f --decimal ;", "\";\" is neither . nor ,");
    assert_refused("fit f --thousands ;", "not a mark between thousands");
    assert_refused("fit f --thousands ,,", "not a mark between thousands");
    assert_refused("fit f --thousands _", "not a mark between thousands");
    assert_refused("fit f --thousands .", "--thousands: \".\" stands before tenths");
    assert_refused("fit f --decimal , --thousands ,", "--thousands: \",\" stands before tenths");
    assert_refused("fit f --comment _", "not the beginning of a comment");
    assert_refused("fit f --comment \"", "not the beginning of a comment");
    assert_refused("fit f --comment //", "not the beginning of a comment");
    assert_refused("fit f --comment ; --delimiter ;", "--comment: \";\" is the delimiter");
    assert_refused("fit f --rename a", "not of the form OLD=NEW");
    assert_refused("fit f --rename a=", "not of the form OLD=NEW");
    assert_refused("fit f --rename a=b,", "one of them is empty");
}

static void maps_are_described_by_options_of_their_own(void **state) {
    (void)state;
    struct jobs_args args = taken("expression f --map m --map-delimiter tab --no-map-header --symbols s "
                                  "--symbols-delimiter ; --no-symbols-header --ignore-version");
    assert_true(args.map_delimiter == '\t' && args.symbols_delimiter == ';' && args.dataset.delimiter == 0);
    assert_true(args.no_map_header && args.no_symbols_header && args.genomics.ignore_version);
    jobs_args_free(&args);
    assert_refused("expression f --map m --symbols-delimiter ;", "--symbols-delimiter: it is for --symbols");
    assert_refused("expression f --map m --no-symbols-header", "--no-symbols-header: it is for --symbols");
    assert_refused("expression f --map m --map-delimiter ;;", "not a delimiter");
}

/* ---- what goes together ---- */

static void an_option_of_the_other_model_is_refused(void **state) {
    (void)state;
    assert_refused("fit f --model logistic --robust", "--robust: it is for --model linear");
    assert_refused("fit f --model logistic --exact", "--exact: it is for --model linear");
    assert_refused("fit f --positive yes", "--positive: it is for --model logistic");
    struct jobs_args args = taken("fit f --model logistic --positive yes");
    assert_string_equal(args.spec.positive, "yes");
    assert_int_equal(args.spec.model, MODEL_LOGISTIC);
    jobs_args_free(&args);
}

static void what_a_command_needs_is_asked_for(void **state) {
    static const char *const fine[] = {
        "impute f --missing mean",
        "impute f --missing-column a=drop",
        "impute f --missing drop --missing-column a=mean",
        "impute f --missing mean --impute-scope slice --slice-by a",
        "impute f --missing mean --impute-scope table",
        "associate f --diseased a --healthy b",
        "associate f --diseased a",
        "fit f --slice-by a",
        "fit f --impute-scope slice",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fine); i++) {
        struct jobs_args args = taken(fine[i]);
        jobs_args_free(&args);
    }
    assert_refused("expression f", "--map is needed");
    assert_refused("slice f", "--output-dir is needed");
    assert_refused("impute f", "--missing is needed");
    assert_refused("impute f --missing drop", "drop is about the columns of a model");
    assert_refused("impute f --missing mean --slice-by a", "need each other");
    assert_refused("impute f --missing mean --impute-scope slice", "need each other");
    assert_refused("associate f --diseased a --healthy a", "name the same value");
}

/* ---- help ---- */

static char *help_of(enum jobs_command command) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (command)
        jobs_args_help(command, out);
    else
        jobs_args_overview(out);
    fclose(out);
    return text;
}

static void help_lists_a_commands_options_alone(void **state) {
    (void)state;
    char *text = help_of(JOBS_FIT);
    assert_int_equal(strncmp(text, "Usage: rookery-worker jobs fit FILE", 35), 0);
    assert_non_null(strstr(text, "\nOptions:\n  --slice-by A,B,…             columns"));
    assert_non_null(strstr(text, "\n  --y COLUMN                   the response\n"));
    assert_non_null(strstr(text, "\n  --x A,B,…                    the predictors"));
    assert_non_null(strstr(text, "\n  --robust                     linear:"));
    assert_non_null(strstr(text, "\nPolicies for missing values:"));
    assert_non_null(strstr(text, "\nThe table (names"));
    assert_non_null(strstr(text, "\nExit status: 0, 1"));
    assert_null(strstr(text, "--map"));
    assert_null(strstr(text, "jobs impute"));
    free(text);
    text = help_of(JOBS_ASSOCIATE);
    assert_non_null(strstr(text, "--variant COLUMN"));
    assert_null(strstr(text, "Policies for missing"));
    assert_null(strstr(text, "The table (names"));
    assert_null(strstr(text, "--y COLUMN"));
    free(text);
}

static void the_overview_has_a_line_for_each_command(void **state) {
    (void)state;
    char *text = help_of(0);
    assert_non_null(strstr(text, "\n  fit         fit a model to every slice of a table\n"));
    assert_non_null(strstr(text, "\n  expression  log2 of"));
    assert_non_null(strstr(text, "\n  combine     last of them"));
    free(text);
}

/* ---- without memory ---- */

static bool parse_much(void *context) {
    struct jobs_args args;
    struct jobs_error error = {0};
    (void)context;
    cut(&line, "fit f --x a,b --missing-column c=mean --na-column d=e --na-add x --rename f=g,h=i");
    bool good = jobs_args_parse(&args, line.n, line.words, &error);
    assert_int_equal(good, error.fault == JOBS_FAULT_NONE);
    if (!good) assert_non_null(strstr(error.text, "not enough memory"));
    if (good) jobs_args_free(&args);
    return good;
}

static void a_lack_of_memory_is_said_and_leaves_nothing(void **state) {
    (void)state;
    size_t failures = failing_malloc_each(parse_much, NULL);
    assert_true(failures >= 10 || !failing_malloc_works());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_known_by_name),
        cmocka_unit_test(files_may_stand_anywhere),
        cmocka_unit_test(files_are_as_many_as_a_command_reads),
        cmocka_unit_test(help_asks_for_nothing_else),
        cmocka_unit_test(an_option_takes_its_value_from_the_next_word_or_its_own),
        cmocka_unit_test(a_fit_is_described_by_its_options),
        cmocka_unit_test(nothing_is_set_that_was_not_asked_for),
        cmocka_unit_test(of_two_that_exclude_each_other_the_last_counts),
        cmocka_unit_test(the_other_commands_have_options_of_their_own),
        cmocka_unit_test(names_with_commas_stand_in_quotes),
        cmocka_unit_test(a_count_is_a_whole_number_within_its_bounds),
        cmocka_unit_test(a_level_lies_between_0_and_1),
        cmocka_unit_test(a_size_may_have_a_unit),
        cmocka_unit_test(a_delimiter_is_one_ascii_character),
        cmocka_unit_test(words_of_a_choice_are_exact),
        cmocka_unit_test(columns_may_have_policies_and_missing_texts_of_their_own),
        cmocka_unit_test(missing_texts_are_added_to_those_there_are),
        cmocka_unit_test(files_are_read_as_they_are_described),
        cmocka_unit_test(maps_are_described_by_options_of_their_own),
        cmocka_unit_test(an_option_of_the_other_model_is_refused),
        cmocka_unit_test(what_a_command_needs_is_asked_for),
        cmocka_unit_test(help_lists_a_commands_options_alone),
        cmocka_unit_test(the_overview_has_a_line_for_each_command),
        cmocka_unit_test(a_lack_of_memory_is_said_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
