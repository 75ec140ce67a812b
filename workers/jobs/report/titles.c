/* titles: see titles.h. The forms of titles are tried in turn, from the one that says most, until all fit and differ:
 *
 *   1. names and values of the columns that differ    species = Adelie, run = 2031-05-12 a
 *   2. values                                         Adelie, 2031-05-12 a
 *   3. values without what a column's values share    Adelie, …12 a
 *   4. those, cut in their middle; where two become the same, with the panel's number
 */
#include "workers/jobs/report/titles.h"

#include <stdlib.h>
#include <string.h>

#include "workers/jobs/report/glyph.h"

/* An ellipsis instead of fewer bytes would say less, and be hardly shorter. */
#define SHARED_MIN 8

enum form { NAMES_AND_VALUES, VALUES, PARTS, CUT };

/* A key column on a page. */
struct column {
    bool differs;
    size_t before, after; /* bytes that all of its values begin and end with, and that form 3 leaves out */
};

struct page {
    const struct slice_cell *cells;
    size_t n;
    const char *const *names;
    size_t n_names;
    struct column *columns;
};

/* ---- texts ------------------------------------------------------------------------------------------- */

static struct slice_cell shown(struct slice_cell cell) {
    if (cell.missing) return (struct slice_cell){"(missing)", sizeof "(missing)" - 1, true};
    if (cell.length == 0) return (struct slice_cell){"\"\"", 2, false};
    cell.length = glyph_cut(cell.text, cell.length, TITLES_CELL_MAX);
    return cell;
}

static struct slice_cell cell_at(const struct page *page, size_t panel, size_t column) {
    return shown(page->cells[panel * page->n_names + column]);
}

static void add_pair(struct text_buffer *out, const char *name, struct slice_cell cell) {
    text_buffer_string(out, name);
    text_buffer_string(out, " = ");
    text_buffer_add(out, cell.text, cell.length);
}

/* Before the second and later items of a list that began at `start`. */
static void add_comma(struct text_buffer *out, size_t start) {
    if (out->length > start) text_buffer_string(out, ", ");
}

void titles_whole(struct text_buffer *out, const struct slice_cell *cells, const char *const *names,
                  size_t n_names) {
    size_t start = out->length;
    if (n_names == 0) text_buffer_string(out, "all rows");
    for (size_t i = 0; i < n_names; i++) {
        add_comma(out, start);
        add_pair(out, names[i], shown(cells[i]));
    }
}

/* ---- what values share ------------------------------------------------------------------------------- */

static bool same(struct slice_cell a, struct slice_cell b) {
    return a.missing == b.missing && a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

static bool is_letter(unsigned char c) {
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static size_t shared_start(struct slice_cell a, struct slice_cell b, size_t most) {
    size_t n = 0;
    while (n < most && n < a.length && n < b.length && a.text[n] == b.text[n]) n++;
    return n;
}

static size_t shared_end(struct slice_cell a, struct slice_cell b, size_t most) {
    size_t n = 0;
    while (n < most && n < a.length && n < b.length && a.text[a.length - 1 - n] == b.text[b.length - 1 - n])
        n++;
    return n;
}

/* What is left out ends where a word or number does: "run 11" and "run 12" are …11 and …12, not …1 and …2. */
static size_t whole_words_start(struct slice_cell cell, size_t n) {
    while (n > 0 && is_letter((unsigned char)cell.text[n - 1])) n--;
    return n;
}

static size_t whole_words_end(struct slice_cell cell, size_t n) {
    while (n > 0 && is_letter((unsigned char)cell.text[cell.length - n])) n--;
    return n;
}

static struct column look_at_column(const struct page *page, size_t at) {
    struct slice_cell first = cell_at(page, 0, at);
    struct column c = {.before = first.length, .after = first.length};
    size_t shortest = first.length;
    for (size_t i = 1; i < page->n; i++) {
        struct slice_cell cell = cell_at(page, i, at);
        c.differs |= !same(first, cell);
        if (page->cells[i * page->n_names + at].missing) continue; /* shown as a word of its own */
        c.before = shared_start(first, cell, c.before);
        c.after = shared_end(first, cell, c.after);
        if (cell.length < shortest) shortest = cell.length;
    }
    if (first.missing) c.before = c.after = 0;
    c.before = whole_words_start(first, c.before);
    c.after = whole_words_end(first, c.after);
    /* Both may reach into the same bytes of a short value: "a-a" of "a-a" and "a-a-a". */
    if (c.before + c.after > shortest) c.after = 0;
    if (c.before < SHARED_MIN) c.before = 0;
    if (c.after < SHARED_MIN) c.after = 0;
    return c;
}

/* ---- forms ------------------------------------------------------------------------------------------- */

static void add_part(struct text_buffer *out, const struct column *c, struct slice_cell cell) {
    if (cell.missing) {
        text_buffer_add(out, cell.text, cell.length);
        return;
    }
    if (c->before) text_buffer_string(out, GLYPH_ELLIPSIS);
    text_buffer_add(out, cell.text + c->before, cell.length - c->before - c->after);
    if (c->after) text_buffer_string(out, GLYPH_ELLIPSIS);
}

/* The title without its end. */
static void add_title(struct text_buffer *out, const struct page *page, size_t panel, enum form form) {
    for (size_t i = 0; i < page->n_names; i++) {
        struct slice_cell cell = cell_at(page, panel, i);
        if (!page->columns[i].differs) continue;
        add_comma(out, 0);
        if (form == NAMES_AND_VALUES)
            add_pair(out, page->names[i], cell);
        else if (form == VALUES)
            text_buffer_add(out, cell.text, cell.length);
        else
            add_part(out, &page->columns[i], cell);
    }
    if (out->length == 0) text_buffer_string(out, "all rows");
}

static char *finish(struct text_buffer *text) {
    text_buffer_char(text, '\0');
    if (!text->failed) return text->at;
    text_buffer_free(text);
    return NULL;
}

static bool occurs_before(const struct titles *titles, size_t panel) {
    for (size_t i = 0; i < panel; i++) {
        if (strcmp(titles->panel[i], titles->panel[panel]) == 0) return true;
    }
    return false;
}

static char *cut(const char *title, struct svg_style style, double width, size_t number) {
    struct text_buffer text = {0};
    char end[32] = "";
    if (number) snprintf(end, sizeof end, " #%zu", number);
    svg_text_shorten(&text, style, width - svg_text_width(style, end, strlen(end)), title, strlen(title));
    text_buffer_string(&text, end);
    return finish(&text);
}

/* Form 4: cuts the titles of form 3. Returns false on allocation failure. */
static bool cut_titles(struct titles *titles, const struct page *page, struct svg_style style, double width) {
    for (size_t i = 0; i < page->n; i++) {
        char *whole = titles->panel[i];
        titles->panel[i] = cut(whole, style, width, 0);
        if (titles->panel[i] && occurs_before(titles, i)) {
            free(titles->panel[i]);
            titles->panel[i] = cut(whole, style, width, i + 1);
        }
        free(whole);
        if (!titles->panel[i]) return false;
    }
    return true;
}

static void free_panels(struct titles *titles) {
    for (size_t i = 0; i < titles->n; i++) {
        free(titles->panel[i]);
        titles->panel[i] = NULL;
    }
}

/* Sets all titles in this form; *good: they fit, and differ. Returns false on allocation failure. */
static bool try_form(struct titles *titles, const struct page *page, enum form form, struct svg_style style,
                     double width, bool *good) {
    free_panels(titles);
    *good = true;
    for (size_t i = 0; i < page->n; i++) {
        struct text_buffer text = {0};
        add_title(&text, page, i, form);
        titles->panel[i] = finish(&text);
        if (!titles->panel[i]) return false;
        *good = *good && svg_text_width(style, titles->panel[i], strlen(titles->panel[i])) <= width &&
                !occurs_before(titles, i);
    }
    return form != CUT || cut_titles(titles, page, style, width);
}

/* ---- the page ---------------------------------------------------------------------------------------- */

static char *say_common(const struct page *page) {
    struct text_buffer text = {0};
    for (size_t i = 0; i < page->n_names && page->n > 0; i++) {
        if (page->columns[i].differs) continue;
        add_comma(&text, 0);
        add_pair(&text, page->names[i], cell_at(page, 0, i));
    }
    return finish(&text);
}

/* "panels: species, run = 2031-05-…" */
static char *say_form(const struct page *page, enum form form) {
    struct text_buffer text = {0};
    if (form == NAMES_AND_VALUES) return finish(&text);
    text_buffer_string(&text, "panels: ");
    size_t start = text.length;
    for (size_t i = 0; i < page->n_names; i++) {
        const struct column *c = &page->columns[i];
        if (!c->differs) continue;
        add_comma(&text, start);
        text_buffer_string(&text, page->names[i]);
        if (form == VALUES || c->before + c->after == 0) continue;
        struct slice_cell cell = cell_at(page, 0, i);
        text_buffer_string(&text, " = ");
        text_buffer_add(&text, cell.text, c->before);
        text_buffer_string(&text, GLYPH_ELLIPSIS);
        text_buffer_add(&text, cell.text + cell.length - c->after, c->after);
    }
    return finish(&text);
}

static bool make(struct titles *titles, struct page *page, struct svg_style style, double width) {
    for (size_t i = 0; i < page->n_names && page->n > 0; i++) {
        page->columns[i] = look_at_column(page, i);
        /* A page of one panel calls it by its whole key. */
        page->columns[i].differs |= page->n == 1;
    }
    enum form form = NAMES_AND_VALUES;
    bool good = page->n == 0;
    while (!good) {
        if (!try_form(titles, page, form, style, width, &good)) return false;
        if (good || form == CUT) break;
        form++;
    }
    titles->common = say_common(page);
    titles->form = say_form(page, form);
    return titles->common && titles->form;
}

bool titles_make(struct titles *titles, const struct slice_cell *cells, size_t n, const char *const *names,
                 size_t n_names, struct svg_style style, double width) {
    struct page page = {cells, n, names, n_names, calloc(n_names + 1, sizeof *page.columns)};
    *titles = (struct titles){.panel = calloc(n + 1, sizeof *titles->panel), .n = n};
    bool good = page.columns && titles->panel && make(titles, &page, style, width);
    free(page.columns);
    if (!good) titles_free(titles);
    return good;
}

void titles_free(struct titles *titles) {
    if (titles->panel) free_panels(titles);
    free(titles->panel);
    free(titles->common);
    free(titles->form);
    *titles = (struct titles){0};
}
