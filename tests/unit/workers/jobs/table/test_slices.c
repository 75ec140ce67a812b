/* Slice keys: which rows belong together, in which order slices are reported, and what their files are called; and the
 * collector, which brings slices that come in any order into that one. */
#include "tests/unit/support/failing_malloc.h"
#include "tests/unit/support/jobs_table.h"
#include "workers/jobs/missing/collector.h"
#include "workers/jobs/table/intern.h"

#define CELL(s) ((struct slice_cell){s, sizeof(s) - 1, false})
#define MISSING ((struct slice_cell){"", 0, true})

static struct slice_key encode(const struct slice_cell *cells, size_t n, char **room, size_t *size) {
    struct slice_key key;
    assert_true(slice_key_encode(cells, n, room, size, &key));
    return key;
}

/* The keys' first cells, joined, in the order of reports. */
static void assert_order(const struct slice_cell *cells, size_t n, const char *expected) {
    struct slice_keys *keys = slice_keys_new(1);
    struct slice_kinds kinds;
    struct slice_index index;
    char said[512] = "";
    uint32_t rows[64];
    assert_true(slice_kinds_open(&kinds, 1));
    for (size_t i = 0; i < n; i++) {
        slice_kinds_note(&kinds, &cells[i]);
        rows[i] = slice_keys_add(keys, &cells[i]);
    }
    assert_true(slice_index_build(&index, keys, &kinds, rows, n));
    for (size_t i = 0; i < index.n_slices; i++) {
        struct slice_cell cell;
        slice_key_next(slice_keys_key(keys, index.ids[i]).bytes, &cell);
        size_t used = strlen(said);
        snprintf(said + used, sizeof said - used, "%s%.*s", i ? " " : "", cell.missing ? 1 : (int)cell.length,
                 cell.missing ? "-" : cell.text);
    }
    assert_string_equal(said, expected);
    slice_index_free(&index);
    slice_kinds_close(&kinds);
    slice_keys_free(keys);
}

static void orders_keys(void **state) {
    (void)state;
    const struct slice_cell numbers[] = {CELL("10"), CELL("9"), CELL("1.50"), CELL("-3"), CELL("1.5"),
                                         MISSING,    CELL("9"), CELL("1e1"),  CELL("0"),  CELL("-0")};
    assert_order(numbers, sizeof numbers / sizeof *numbers, "-3 -0 0 1.5 1.50 9 10 1e1 -");
    const struct slice_cell texts[] = {CELL("b"),         CELL("10"),      CELL("9"),  CELL("a"),
                                       MISSING,           CELL(""),        CELL("ab"), CELL("abcdefghi"),
                                       CELL("abcdefgha"), CELL("\xC3\xA9")};
    assert_order(texts, sizeof texts / sizeof *texts, " 10 9 a ab abcdefgha abcdefghi b \xC3\xA9 -");
}

/* Numbers in one column, texts in another: each by its own order. */
static void orders_column_by_column(void **state) {
    (void)state;
    struct slice_kinds kinds;
    char *room[2] = {0};
    size_t size[2] = {0};
    const struct slice_cell a[] = {CELL("x"), CELL("10")}, b[] = {CELL("x"), CELL("9")},
                            c[] = {CELL("y"), MISSING};
    assert_true(slice_kinds_open(&kinds, 2));
    slice_kinds_note(&kinds, a);
    slice_kinds_note(&kinds, b);
    slice_kinds_note(&kinds, c);
    assert_true(kinds.text[0] && !kinds.text[1]);
    struct slice_key first = encode(a, 2, &room[0], &size[0]), second = encode(b, 2, &room[1], &size[1]);
    assert_true(slice_key_compare(&kinds, first, second) > 0);
    assert_true(slice_key_compare(&kinds, second, first) < 0);
    assert_int_equal(slice_key_compare(&kinds, first, first), 0);
    second = encode(c, 2, &room[1], &size[1]);
    assert_true(slice_key_compare(&kinds, first, second) < 0);
    slice_kinds_close(&kinds);
    free(room[0]);
    free(room[1]);
}

static void different_cells_are_different_keys(void **state) {
    (void)state;
    struct slice_keys *keys = slice_keys_new(2);
    const struct slice_cell cells[][2] = {
        {CELL("a"), CELL("bc")}, {CELL("ab"), CELL("c")}, {CELL("1"), CELL("")}, {CELL("1.0"), CELL("")},
        {MISSING, CELL("")},     {CELL(""), CELL("")},    {CELL(""), MISSING}};
    for (uint32_t i = 0; i < 7; i++) assert_int_equal(slice_keys_add(keys, cells[i]), i);
    for (uint32_t i = 0; i < 7; i++) assert_int_equal(slice_keys_add(keys, cells[i]), i);
    assert_int_equal(slice_keys_count(keys), 7);
    slice_keys_free(keys);
}

/* The queue numbers keys as slice_keys_add does, only later; long keys take their turn at once. */
static void the_queue_numbers_keys_in_their_order(void **state) {
    (void)state;
    enum { ROWS = 2000 };
    struct slice_keys *keys = slice_keys_new(1), *plain = slice_keys_new(1);
    struct slice_kinds kinds;
    uint32_t *rows = calloc(ROWS, sizeof *rows);
    struct slice_queue queue = {.keys = keys, .kinds = &kinds, .row_slice = &rows};
    uint32_t wanted[ROWS];
    assert_true(slice_kinds_open(&kinds, 1));
    for (size_t i = 0; i < ROWS; i++) {
        char text[80];
        size_t k = i * 7919 % 611;
        snprintf(text, sizeof text, "%0*zu", k % 5 == 0 ? 70 : 1, k);
        struct slice_cell cell = {text, strlen(text), i % 401 == 0};
        assert_true(slice_queue_push(&queue, &cell, i));
        wanted[i] = slice_keys_add(plain, &cell);
    }
    assert_true(slice_queue_settle(&queue));
    assert_memory_equal(rows, wanted, sizeof wanted);
    assert_int_equal(slice_keys_count(keys), slice_keys_count(plain));
    assert_false(kinds.text[0]);
    struct slice_cell text = CELL("text");
    assert_true(slice_queue_push(&queue, &text, 0) && slice_queue_settle(&queue));
    assert_true(kinds.text[0]);
    slice_kinds_close(&kinds);
    slice_keys_free(keys);
    slice_keys_free(plain);
    free(rows);
}

static void gathers_rows_by_slice_in_their_order(void **state) {
    (void)state;
    struct slice_keys *keys = slice_keys_new(1);
    struct slice_kinds kinds;
    struct slice_index index;
    const struct slice_cell b = CELL("b"), a = CELL("a"), none = CELL("none");
    assert_true(slice_kinds_open(&kinds, 1));
    slice_kinds_note(&kinds, &b);
    assert_int_equal(slice_keys_add(keys, &b), 0);
    assert_int_equal(slice_keys_add(keys, &a), 1);
    assert_int_equal(slice_keys_add(keys, &none), 2);
    const uint32_t rows[] = {0, 1, SLICE_NONE, 0, 1, 0};
    assert_true(slice_index_build(&index, keys, &kinds, rows, 6));
    const uint32_t wanted[] = {1, 4, 0, 3, 5};
    assert_int_equal(index.n_slices, 3);
    assert_memory_equal(index.rows, wanted, sizeof wanted);
    assert_true(index.ids[0] == 1 && index.start[1] == 2 && index.start[2] == 5 && index.start[3] == 5);
    slice_index_free(&index);
    slice_kinds_close(&kinds);
    slice_keys_free(keys);
}

static void file_names_are_safe_and_differ(void **state) {
    (void)state;
    static const struct {
        struct slice_cell cell;
        const char *name;
    } cases[] = {{CELL("Adelie"), "Adelie"},
                 {CELL("../up"), "%2E.%2Fup"},
                 {CELL("a b_c"), "a%20b%5Fc"},
                 {CELL("%"), "%25"},
                 {MISSING, "%"},
                 {CELL(""), ""},
                 {CELL("\xC3\xA9"), "%C3%A9"}};
    char *room = NULL, name[SLICE_FILE_ROOM], other[SLICE_FILE_ROOM], text[400];
    size_t size = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        slice_key_file_name(encode(&cases[i].cell, 1, &room, &size), 1, name);
        assert_string_equal(name, cases[i].name);
    }
    assert_string_equal(slice_key_file_name((struct slice_key){"", 0}, 0, name), "all");
    memset(text, '/', sizeof text);
    struct slice_cell longer[] = {{text, sizeof text, false}};
    slice_key_file_name(encode(longer, 1, &room, &size), 1, name);
    longer[0].length--;
    slice_key_file_name(encode(longer, 1, &room, &size), 1, other);
    assert_true(strlen(name) < SLICE_FILE_ROOM && strcmp(name, other) != 0);
    free(room);
}

static void titles_name_the_columns(void **state) {
    (void)state;
    static const char *const names[] = {"species", "sex"};
    const struct slice_cell cells[] = {CELL("Adelie"), MISSING};
    char *room = NULL, title[SLICE_TITLE_ROOM];
    size_t size = 0;
    slice_key_title(encode(cells, 2, &room, &size), names, 2, title);
    assert_string_equal(title, "species = Adelie, sex = (missing)");
    assert_string_equal(slice_key_title((struct slice_key){"", 0}, NULL, 0, title), "all rows");
    free(room);
}

static void interns_texts(void **state) {
    (void)state;
    struct intern *in = intern_new();
    char text[32];
    size_t length;
    for (uint32_t i = 0; i < 100000; i++) {
        snprintf(text, sizeof text, "text %u", i);
        assert_int_equal(intern_add(in, text, strlen(text)), i);
    }
    assert_int_equal(intern_add(in, "", 0), 100000);
    for (uint32_t i = 0; i < 100000; i += 37) {
        snprintf(text, sizeof text, "text %u", i);
        assert_int_equal(intern_find(in, text, strlen(text)), i);
        assert_string_equal(intern_text(in, i, &length), text);
        assert_int_equal(length, strlen(text));
    }
    assert_int_equal(intern_find(in, "text", 4), INTERN_NONE);
    assert_int_equal(intern_count(in), 100001);
    assert_true(intern_size(in) > 1000000);
    intern_free(in);
    assert_true(intern_compare("a", 1, "ab", 2) < 0 && intern_compare("b", 1, "ab", 2) > 0);
    assert_true(intern_compare("\x80", 1, "a", 1) > 0 && intern_compare("x", 1, "x", 1) == 0);
}

/* --- collecting --------------------------------------------------------------------------------------------- */

enum { TEXTS = 3000 };
struct put {
    int n;
    size_t bytes;
};

static bool put(void *context, struct slice_key key, const char *text, size_t length,
                struct jobs_error *error) {
    struct put *p = context;
    struct slice_cell cell;
    char wanted[16];
    (void)error;
    slice_key_next(key.bytes, &cell);
    snprintf(wanted, sizeof wanted, "%d", p->n);
    assert_int_equal(cell.length, strlen(wanted));
    assert_memory_equal(cell.text, wanted, cell.length);
    assert_int_equal(length, (size_t)(p->n % 100));
    for (size_t i = 0; i < length; i++) assert_int_equal(text[i], 'a' + p->n % 26);
    p->n++;
    p->bytes += length;
    return true;
}

/* Keys 0, 1, 2, … come in another order, each with a text of its own. memory: bytes held. */
static bool collect(void *memory) {
    struct jobs_error error = {0};
    struct collector *c = collector_new(1, NULL, *(size_t *)memory, &error);
    struct slice_kinds kinds = {0};
    struct put seen = {0};
    char *room = NULL, number[16], text[128];
    size_t size = 0;
    bool twice = false, good = c && slice_kinds_open(&kinds, 1);
    for (int i = 0; i < TEXTS && good; i++) {
        int k = (int)((int64_t)i * 1009 % TEXTS);
        struct slice_key key;
        snprintf(number, sizeof number, "%d", k);
        memset(text, 'a' + k % 26, sizeof text);
        struct slice_cell cell = {number, strlen(number), false};
        good = slice_key_encode(&cell, 1, &room, &size, &key) &&
               collector_put(c, key, text, (size_t)(k % 100), &twice, &error);
    }
    good = good && collector_write(c, &kinds, put, &seen, &error);
    assert_true(!good || seen.n == TEXTS);
    slice_kinds_close(&kinds);
    collector_free(c);
    free(room);
    return good;
}

static void collects_in_memory_and_on_disk(void **state) {
    (void)state;
    size_t much = 1 << 20, little = 1;
    assert_true(collect(&much));
    assert_true(collect(&little));
}

static void refuses_a_key_that_comes_twice(void **state) {
    (void)state;
    struct jobs_error error = {0};
    struct collector *c = collector_new(0, NULL, 0, &error);
    bool twice;
    assert_true(collector_put(c, (struct slice_key){"", 0}, "x", 1, &twice, &error));
    assert_false(collector_put(c, (struct slice_key){"", 0}, "y", 1, &twice, &error));
    assert_true(twice && error.fault == JOBS_FAULT_NONE);
    collector_free(c);
}

static void says_where_no_temporary_file_can_be(void **state) {
    (void)state;
    struct jobs_error error = {0};
    struct collector *c = collector_new(0, "/nowhere", 0, &error);
    char *text = calloc(1, 1 << 20);
    bool twice;
    assert_false(collector_put(c, (struct slice_key){"", 0}, text, 1 << 20, &twice, &error));
    assert_non_null(strstr(error.text, "/nowhere"));
    assert_non_null(strstr(error.text, "--scratch-dir"));
    collector_free(c);
    free(text);
}

static void survives_a_lack_of_memory(void **state) {
    (void)state;
    size_t much = 1 << 20, little = 1;
    if (!failing_malloc_works()) skip();
    assert_true(failing_malloc_each(collect, &much) > 10);
    assert_true(failing_malloc_each(collect, &little) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_keys),
        cmocka_unit_test(orders_column_by_column),
        cmocka_unit_test(different_cells_are_different_keys),
        cmocka_unit_test(the_queue_numbers_keys_in_their_order),
        cmocka_unit_test(gathers_rows_by_slice_in_their_order),
        cmocka_unit_test(file_names_are_safe_and_differ),
        cmocka_unit_test(titles_name_the_columns),
        cmocka_unit_test(interns_texts),
        cmocka_unit_test(collects_in_memory_and_on_disk),
        cmocka_unit_test(refuses_a_key_that_comes_twice),
        cmocka_unit_test(says_where_no_temporary_file_can_be),
        cmocka_unit_test(survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests_name("unit/jobs_slices", tests, NULL, NULL);
}
