/* statements: turns the SQL files beside the code into struct pg_stmt.
 *
 *   statements X.sql >X.sql.h          the statements of one file, for X.c to include
 *   statements --list FILE... >LIST    a line STATEMENT("FILE", LINE, "name", "SQL") for each statement of all files
 *
 * A file:
 *
 *   -- name: post_find_repost read_only
 *   -- A comment says why; it is left out of what is sent.
 *   SELECT id
 *   FROM posts
 *   WHERE author_id = $1 AND repost_of_id = $2 AND NOT deleted;
 *
 * becomes POST_FIND_REPOST. Words behind the name: read_only (see pg_stmt), shared (not static: declared in a header,
 * for other files too). A name is unique in the program. ":JOB_STATE_RUNNING" is the number of one of the constants
 * below, so that SQL and C cannot drift apart. Every statement ends with ";".
 *
 * A mistake is an error, with file and line. tests/unit/core/store/migrate/test_statements.c checks that every
 * statement fits the schema. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/domain/job/step.h"
#include "core/event/stream.h"
#include "core/id/snowflake.h"
#include "rookery/v1/job.pb-c.h"

#define STATEMENTS_MAX 1000
/* PostgreSQL cuts names of prepared statements at 63 bytes, and the client appends a number. */
#define NAME_MAX_BYTES 56

/* What SQL may call by name. */
static const struct constant {
    const char *name;
    int64_t number;
} CONSTANTS[] = {
#define STREAM(NAME, name, message, in_outbox) {"STREAM_" #NAME, STREAM_##NAME},
#include "core/event/stream.def"
#undef STREAM
#define DATASET_STATE(NAME)                                                                                  \
    { "DATASET_STATE_" #NAME, ROOKERY__V1__DATASET_STATE__DATASET_STATE_##NAME }
    DATASET_STATE(FILLING),
    DATASET_STATE(DESCRIBING),
    DATASET_STATE(READY),
    DATASET_STATE(FAILED),
    {"SNOWFLAKE_EPOCH_MS", SNOWFLAKE_EPOCH_MS},
    {"DATASET_SOURCE_UPLOAD", ROOKERY__V1__DATASET_SOURCE__DATASET_SOURCE_UPLOAD},
#define JOB_STATE(NAME)                                                                                      \
    { "JOB_STATE_" #NAME, ROOKERY__V1__JOB_STATE__JOB_STATE_##NAME }
    JOB_STATE(PLANNING),
    JOB_STATE(RUNNING),
    JOB_STATE(COMBINING),
    JOB_STATE(SUCCEEDED),
    JOB_STATE(FAILED),
    JOB_STATE(CANCELLED),
    {"JOB_WHOLE_TABLE", JOB_WHOLE_TABLE},
    {"JOB_STEP_PLAN", JOB_STEP_PLAN},
    {"JOB_STEP_TASK", JOB_STEP_TASK},
    {"JOB_STEP_COMBINE", JOB_STEP_COMBINE},
    {"JOB_STEP_QUERY", JOB_STEP_QUERY},
    {"JOB_STEP_DESCRIBE", JOB_STEP_DESCRIBE},
};

struct statement {
    const char *file;
    int line; /* of its name */
    struct str name;
    bool read_only, shared;
    struct buf sql; /* lines, constants replaced, without comments and the ";" */
};
static struct statement statements[STATEMENTS_MAX];
static size_t n_statements;

static const char *file; /* being read */
static int line;
static int n_wrong;

static void complain_at(const char *where, int at, const char *what, struct str word) {
    fprintf(stderr, "%s:%d: %s", where, at, what);
    if (word.len > 0) fprintf(stderr, ": " STR_FMT, STR_ARG(word));
    fputc('\n', stderr);
    n_wrong++;
}

static void complain(const char *what, struct str word) {
    complain_at(file, line, what, word);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* Cuts the next word off *rest; empty at the end. */
static struct str next_word(struct str *rest) {
    *rest = str_trim(*rest);
    return str_cut(rest, ' ');
}

static bool is_name(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!islower((unsigned char)s.ptr[i]) && s.ptr[i] != '_' &&
            !(i > 0 && isdigit((unsigned char)s.ptr[i])))
            return false;
    return s.len > 0 && s.len <= NAME_MAX_BYTES;
}

static void check_unique(struct str name) {
    for (size_t i = 0; i + 1 < n_statements; i++) {
        if (!str_eq(statements[i].name, name)) continue;
        fprintf(stderr, "%s:%d: a statement of this name is in %s:%d: " STR_FMT "\n", file, line,
                statements[i].file, statements[i].line, STR_ARG(name));
        n_wrong++;
    }
}

static void begin_statement(struct str words) {
    if (n_statements == STATEMENTS_MAX) {
        fprintf(stderr, "%s:%d: more than %d statements\n", file, line, STATEMENTS_MAX);
        exit(1);
    }
    struct statement *s = &statements[n_statements++];
    *s = (struct statement){.file = file, .line = line, .name = next_word(&words)};
    buf_init(&s->sql);
    if (!is_name(s->name)) complain("a name is lower-case letters, digits and _, 56 at most", s->name);
    check_unique(s->name);
    for (struct str word; (word = next_word(&words)).len > 0;) {
        if (str_eq(word, STR("read_only")))
            s->read_only = true;
        else if (str_eq(word, STR("shared")))
            s->shared = true;
        else
            complain("a word behind the name that is not read_only or shared", word);
    }
}

static bool is_constant_letter(char c) {
    return isupper((unsigned char)c) || isdigit((unsigned char)c) || c == '_';
}

static void append_constant(struct buf *out, struct str name) {
    for (size_t i = 0; i < sizeof CONSTANTS / sizeof *CONSTANTS; i++) {
        if (!str_eq(str_from(CONSTANTS[i].name), name)) continue;
        buf_append_i64(out, CONSTANTS[i].number);
        return;
    }
    complain("no constant of this name is in scripts/generate/statements.c", name);
}

/* ":NAME", but not "::TYPE". */
static void append_line(struct buf *out, struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        bool begins = s.ptr[i] == ':' && i + 1 < s.len && isupper((unsigned char)s.ptr[i + 1]);
        if (!begins || (i > 0 && s.ptr[i - 1] == ':')) {
            buf_append_char(out, s.ptr[i]);
            continue;
        }
        size_t end = i + 1;
        while (end < s.len && is_constant_letter(s.ptr[end])) end++;
        append_constant(out, (struct str){s.ptr + i + 1, end - i - 1});
        i = end - 1;
    }
    buf_append_char(out, '\n');
}

/* The last statement has ended. */
static void end_statement(void) {
    if (n_statements == 0 || statements[n_statements - 1].file != file) return;
    struct statement *s = &statements[n_statements - 1];
    struct str sql = str_trim(buf_str(&s->sql));
    bool ends = sql.len > 0 && sql.ptr[sql.len - 1] == ';';
    sql = str_trim((struct str){sql.ptr, sql.len - ends});
    if (sql.len == 0)
        complain_at(s->file, s->line, "an empty statement", s->name);
    else if (!ends)
        complain_at(s->file, s->line, "a statement ends with \";\"", s->name);
    s->sql.len = sql.len > 0 ? (size_t)(sql.ptr + sql.len - s->sql.ptr) : 0;
}

static void take_line(struct str text) {
    struct str rest = text;
    if (str_starts_with(text, STR("-- name:"))) {
        end_statement();
        begin_statement((struct str){text.ptr + 8, text.len - 8});
    } else if (str_starts_with(str_trim(text), STR("--")) || str_trim(text).len == 0) {
        return;
    } else if (n_statements == 0 || statements[n_statements - 1].file != file) {
        complain("a statement without a name: a line \"-- name: ...\" introduces it", next_word(&rest));
    } else {
        append_line(&statements[n_statements - 1].sql, text);
    }
}

/* Kept until the end: names point into it. */
static struct str read_file(const char *path) {
    FILE *in = fopen(path, "rb");
    struct buf bytes;
    buf_init(&bytes);
    if (!in) {
        perror(path);
        exit(1);
    }
    for (size_t got = 1; got > 0; bytes.len += got) got = fread(buf_reserve(&bytes, 65536), 1, 65536, in);
    fclose(in);
    return buf_str(&bytes);
}

static void take_file(const char *path) {
    struct str rest = read_file(path);
    file = path;
    for (line = 1; rest.len > 0; line++) take_line(str_cut(&rest, '\n'));
    end_statement();
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* As a C literal for each line. */
static void print_sql(struct str sql) {
    while (sql.len > 0) {
        struct str text = str_cut(&sql, '\n');
        printf("\n           \"");
        for (size_t i = 0; i < text.len; i++) {
            if (text.ptr[i] == '"' || text.ptr[i] == '\\') putchar('\\');
            putchar(text.ptr[i]);
        }
        printf(sql.len > 0 ? "\\n\"" : "\"");
    }
}

/* An unused statement, or one too many, is then shown by the compiler where it stands. */
static void print_definition(const struct statement *s) {
    printf("#line %d \"%s\"\n%sconst struct pg_stmt ", s->line, s->file, s->shared ? "" : "static ");
    for (size_t i = 0; i < s->name.len; i++) putchar(toupper((unsigned char)s->name.ptr[i]));
    printf(" = {\n    .name = \"" STR_FMT "\",\n    .read_only = %s,\n    .sql =", STR_ARG(s->name),
           s->read_only ? "true" : "false");
    print_sql(buf_str(&s->sql));
    printf(",\n};\n");
}

static void print_entry(const struct statement *s) {
    printf("STATEMENT(\"%s\", %d, \"" STR_FMT "\",", s->file, s->line, STR_ARG(s->name));
    print_sql(buf_str(&s->sql));
    printf(")\n");
}

int main(int argc, char **argv) {
    bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
    if (list ? argc < 3 : argc != 2) {
        fprintf(stderr, "usage: statements X.sql, or statements --list FILE...\n");
        return 2;
    }
    for (int i = list ? 2 : 1; i < argc; i++) take_file(argv[i]);
    if (!list) printf("#include \"core/store/pg/pg.h\"\n");
    for (size_t i = 0; i < n_statements; i++) (list ? print_entry : print_definition)(&statements[i]);
    return n_wrong > 0;
}
