/* The overview of plot.h: pages of small multiples.
 *
 * A panel is a picture with few points, and its slice's key. Those beyond the first page go to a temporary file until
 * all slices are there: only then the order, the number of pages and the common axes are known. What stays in memory
 * of such a panel is its key.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workers/jobs/report/plot_internal.h"
#include "workers/jobs/report/titles.h"
#include "workers/jobs/table/spill.h"

struct panel {
    struct slice_key key;
    char *bytes;             /* of the key, owned */
    struct picture *picture; /* owned; NULL: in the file, at `at` */
    off_t at;
    size_t number; /* in the order of plot_overview_add */
};

struct plot_overview {
    char *title, *x_name, *y_name;
    const struct slice_kinds *kinds;
    const char *scratch_dir;
    char **key_names;
    size_t n_key;
    struct panel *panels;
    size_t n, room;
    bool sorted;
    int file; /* -1: there is none */
    off_t end;
    double x_low, x_high, y_low, y_high; /* of all panels that are not empty */
};

struct plot_overview *plot_overview_new(const char *title, const struct slice_kinds *kinds,
                                        const char *scratch_dir) {
    struct plot_overview *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    *o = (struct plot_overview){.title = strdup(title),
                                .kinds = kinds,
                                .scratch_dir = scratch_dir,
                                .file = -1,
                                .x_low = INFINITY,
                                .x_high = -INFINITY,
                                .y_low = INFINITY,
                                .y_high = -INFINITY};
    if (o->title) return o;
    free(o);
    return NULL;
}

static void drop_picture(struct panel *panel) {
    if (panel->picture) picture_free(panel->picture);
    free(panel->picture);
    panel->picture = NULL;
}

void plot_overview_free(struct plot_overview *o) {
    if (!o) return;
    for (size_t i = 0; i < o->n; i++) {
        drop_picture(&o->panels[i]);
        free(o->panels[i].bytes);
    }
    for (size_t i = 0; o->key_names && i < o->n_key; i++) free(o->key_names[i]);
    free(o->key_names);
    free(o->panels);
    if (o->file >= 0) close(o->file);
    free(o->title);
    free(o->x_name);
    free(o->y_name);
    free(o);
}

/* ---- adding ------------------------------------------------------------------------------------------ */

static char *name_of(void (*name)(struct text_buffer *, const struct plot_slice *, enum picture_kind),
                     const struct plot_slice *s, enum picture_kind kind) {
    struct text_buffer text = {0};
    name(&text, s, kind);
    text_buffer_char(&text, '\0');
    if (!text.failed) return text.at;
    text_buffer_free(&text);
    return NULL;
}

/* All slices of a job have the same columns, so the first one names the axes and the keys. */
static bool take_names(struct plot_overview *o, const struct plot_slice *s, enum picture_kind kind) {
    if (o->n > 0) {
        assert(s->n_key == o->n_key);
        return true;
    }
    if (!o->x_name) o->x_name = name_of(plot_x_name, s, kind);
    if (!o->y_name) o->y_name = name_of(plot_y_name, s, kind);
    if (!o->key_names) o->key_names = calloc(s->n_key + 1, sizeof *o->key_names);
    if (!o->key_names) return false;
    o->n_key = s->n_key;
    bool good = o->x_name && o->y_name;
    for (size_t i = 0; i < s->n_key && good; i++) {
        if (!o->key_names[i]) o->key_names[i] = strdup(s->key_names[i]);
        good = o->key_names[i] != NULL;
    }
    return good;
}

static struct panel *new_panel(struct plot_overview *o, const struct plot_slice *s) {
    if (o->n == o->room) {
        size_t room = o->room ? o->room * 2 : PLOT_PAGE_PANELS;
        struct panel *bigger = realloc(o->panels, room * sizeof *bigger);
        if (!bigger) return NULL;
        o->panels = bigger;
        o->room = room;
    }
    struct panel panel = {.picture = calloc(1, sizeof *panel.picture), .number = o->n};
    size_t size = 0;
    if (panel.picture && slice_key_encode(s->key, s->n_key, &panel.bytes, &size, &panel.key)) {
        if (picture_make(panel.picture, s, PLOT_PANEL_POINTS)) {
            o->panels[o->n] = panel;
            return &o->panels[o->n];
        }
    }
    free(panel.picture);
    free(panel.bytes);
    return NULL;
}

static void share_axes(struct plot_overview *o, const struct picture *p) {
    if (p->of == 0) return;
    o->x_low = fmin(o->x_low, p->x_low);
    o->x_high = fmax(o->x_high, p->x_high);
    o->y_low = fmin(o->y_low, p->y_low);
    o->y_high = fmax(o->y_high, p->y_high);
}

static size_t points_size(const struct picture *p) {
    return 2 * p->count * sizeof *p->points;
}

static bool store(struct plot_overview *o, struct panel *panel, struct jobs_error *error) {
    const struct picture *p = panel->picture;
    if (o->file < 0) o->file = spill_temporary(o->scratch_dir, error);
    if (o->file < 0 || !spill_write(o->file, (const char *)p, sizeof *p, error) ||
        !spill_write(o->file, (const char *)p->points, points_size(p), error)) {
        return false;
    }
    panel->at = o->end;
    o->end += (off_t)(sizeof *p + points_size(p));
    drop_picture(panel);
    return true;
}

bool plot_overview_add(struct plot_overview *o, const struct plot_slice *slice, struct jobs_error *error) {
    assert(!o->sorted);
    struct panel *panel = new_panel(o, slice);
    if (!panel || !take_names(o, slice, panel->picture->kind)) {
        if (panel) drop_picture(panel);
        if (panel) free(panel->bytes);
        return jobs_fail_memory(error, "the pictures");
    }
    share_axes(o, panel->picture);
    o->n++;
    return o->n <= PLOT_PAGE_PANELS || store(o, panel, error);
}

/* ---- pages ------------------------------------------------------------------------------------------- */

size_t plot_overview_pages(const struct plot_overview *o) {
    return o->n == 0 ? 1 : (o->n + PLOT_PAGE_PANELS - 1) / PLOT_PAGE_PANELS;
}

char *plot_overview_name(size_t page, char name[PLOT_NAME_ROOM]) {
    if (page == 0)
        snprintf(name, PLOT_NAME_ROOM, "overview.svg");
    else
        snprintf(name, PLOT_NAME_ROOM, "overview-%zu.svg", page + 1);
    return name;
}

static int compare_panels(const void *a, const void *b, void *kinds) {
    const struct panel *x = a, *y = b;
    int order = kinds ? slice_key_compare(kinds, x->key, y->key) : 0;
    return order ? order : x->number < y->number ? -1 : 1;
}

static void sort_panels(struct plot_overview *o) {
    if (o->sorted) return;
    void *kinds = (void *)(uintptr_t)o->kinds;
    if (o->n > 0) qsort_r(o->panels, o->n, sizeof *o->panels, compare_panels, kinds);
    o->sorted = true;
}

static bool read_all(int file, void *to, size_t n, off_t at, struct jobs_error *error) {
    for (char *next = to; n > 0;) {
        ssize_t got = pread(file, next, n, at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return jobs_fail(error, JOBS_FAULT_MACHINE, "a temporary file could not be read: %s",
                             got < 0 ? strerror(errno) : "it is too short");
        }
        next += got;
        n -= (size_t)got;
        at += got;
    }
    return true;
}

/* Sets *p to the panel's picture, which the caller frees. */
static bool load(const struct plot_overview *o, const struct panel *panel, struct picture *p,
                 struct jobs_error *error) {
    if (!read_all(o->file, p, sizeof *p, panel->at, error)) return false;
    p->points = malloc(points_size(p) + 1);
    if (!p->points) return jobs_fail_memory(error, "the pictures");
    if (read_all(o->file, p->points, points_size(p), panel->at + (off_t)sizeof *p, error)) return true;
    picture_free(p);
    return false;
}

/* ---- drawing ----------------------------------------------------------------------------------------- */

enum {
    PANEL_WIDTH = 210,
    PANEL_HEIGHT = 160,
    PANEL_GAP = 12,
    PANEL_TITLE = 20,
    SHEET_TOP = 58,
    SHEET_LINE = 16,
    SHEET_RIGHT = 12,
    SHEET_BOTTOM = 52,
    SHEET_WIDTH_MIN = 460,
    LINK_WIDTH = 110
};
#define PANEL_STYLE ((struct svg_style){.size = 11, .bold = true, .fill = "#111827"})
#define LINK_STYLE ((struct svg_style){.size = 11, .fill = "#1d4ed8"})

/* A page to be drawn. */
struct sheet {
    size_t page, pages, first, n, columns;
    double left, top, width, height;
    struct svg_frame frame; /* of a panel: all but its place */
    struct titles titles;
    struct slice_cell *cells; /* of the panels' keys, in turn */
};

/* About as wide as a screen is, compared to its height. */
static size_t sheet_columns(size_t panels) {
    size_t columns = (size_t)ceil(sqrt((double)panels * 1.3));
    return columns < 1 ? 1 : columns > 8 ? 8 : columns;
}

static bool has_shares(const struct sheet *s) {
    return *s->titles.common || *s->titles.form;
}

static bool sheet_make(struct sheet *s, const struct plot_overview *o, size_t page) {
    bool empty = !(o->x_low <= o->x_high);
    *s = (struct sheet){.page = page,
                        .pages = plot_overview_pages(o),
                        .first = page * PLOT_PAGE_PANELS,
                        .frame = {.width = PANEL_WIDTH, .height = PANEL_HEIGHT}};
    s->n = o->n - s->first < PLOT_PAGE_PANELS ? o->n - s->first : PLOT_PAGE_PANELS;
    s->frame.x = svg_axis_fit(empty ? 0 : o->x_low, empty ? 1 : o->x_high, 4, PANEL_WIDTH);
    s->frame.y = svg_axis_choose(empty ? 0 : o->y_low, empty ? 1 : o->y_high, 4);
    s->cells = calloc(s->n * o->n_key + 1, sizeof *s->cells);
    if (!s->cells) return false;
    for (size_t i = 0; i < s->n; i++) {
        const char *at = o->panels[s->first + i].key.bytes;
        for (size_t j = 0; j < o->n_key; j++) at = slice_key_next(at, &s->cells[i * o->n_key + j]);
    }
    if (!titles_make(&s->titles, s->cells, s->n, (const char *const *)o->key_names, o->n_key, PANEL_STYLE,
                     PANEL_WIDTH)) {
        return false;
    }
    s->columns = sheet_columns(s->n);
    size_t rows = (s->n + s->columns - 1) / s->columns;
    s->left = plot_label_width(&s->frame.y) + 38;
    s->top = SHEET_TOP + SHEET_LINE * (has_shares(s) + (s->pages > 1));
    s->width = s->left + (double)s->columns * (PANEL_WIDTH + PANEL_GAP) + SHEET_RIGHT;
    s->height = s->top + (double)rows * (PANEL_HEIGHT + PANEL_TITLE + PANEL_GAP) + SHEET_BOTTOM - PANEL_GAP;
    return true;
}

static void sheet_free(struct sheet *s) {
    free(s->cells);
    titles_free(&s->titles);
}

/* The panel's title says what differs, the one that a browser shows at the pointer is the whole key. */
static bool draw_panel(FILE *out, const struct plot_overview *o, const struct sheet *s, size_t at,
                       const struct picture *p) {
    struct svg_frame f = s->frame;
    struct text_buffer whole = {0};
    titles_whole(&whole, s->cells + at * o->n_key, (const char *const *)o->key_names, o->n_key);
    text_buffer_char(&whole, '\0');
    if (whole.failed) {
        text_buffer_free(&whole);
        return false;
    }
    f.left = s->left + (double)(at % s->columns) * (PANEL_WIDTH + PANEL_GAP);
    f.top = s->top + PANEL_TITLE + (double)(at / s->columns) * (PANEL_HEIGHT + PANEL_TITLE + PANEL_GAP);
    svg_group_open(out, whole.at);
    svg_text(out, f.left, f.top - 6, PANEL_STYLE, PANEL_WIDTH, s->titles.panel[at]);
    svg_frame_draw(out, &f, at + s->columns >= s->n, at % s->columns == 0);
    picture_draw(out, p, &f, 1.6);
    if (p->status != FIT_OK) {
        svg_text(out, f.left + 5, f.top + 13, PLOT_ALARMING, PANEL_WIDTH - 10, fit_status_name(p->status));
    }
    svg_group_close(out);
    text_buffer_free(&whole);
    return true;
}

static bool draw_panels(FILE *out, const struct plot_overview *o, const struct sheet *s,
                        struct jobs_error *error) {
    for (size_t i = 0; i < s->n; i++) {
        const struct panel *panel = &o->panels[s->first + i];
        struct picture loaded;
        if (!panel->picture && !load(o, panel, &loaded, error)) return false;
        bool good = draw_panel(out, o, s, i, panel->picture ? panel->picture : &loaded);
        if (!panel->picture) picture_free(&loaded);
        if (!good) return jobs_fail_memory(error, "the pictures");
    }
    return true;
}

static void draw_links(FILE *out, const struct sheet *s, double y) {
    char name[PLOT_NAME_ROOM];
    double x = s->left;
    if (s->page > 0) {
        svg_link(out, x, y, LINK_STYLE, plot_overview_name(s->page - 1, name), "\xe2\x86\x90 previous page");
        x += LINK_WIDTH;
    }
    if (s->page + 1 < s->pages) {
        svg_link(out, x, y, LINK_STYLE, plot_overview_name(s->page + 1, name), "next page \xe2\x86\x92");
    }
}

static void draw_heading(FILE *out, const struct plot_overview *o, const struct sheet *s, double width) {
    char count[160];
    double y = 42;
    svg_text(out, s->left, 26, PLOT_TITLE, width, o->title);
    if (s->pages > 1) {
        snprintf(count, sizeof count, "slices %zu to %zu of %zu" PLOT_DOT "page %zu of %zu", s->first + 1,
                 s->first + s->n, o->n, s->page + 1, s->pages);
    } else {
        snprintf(count, sizeof count, "%zu slice%s", o->n, o->n == 1 ? "" : "s");
    }
    svg_text(out, s->left, y, PLOT_FAINT, width, count);
    if (has_shares(s)) {
        double half = *s->titles.common && *s->titles.form ? width / 2 - 10 : width;
        struct svg_style style = PLOT_FAINT;
        size_t length = strlen(s->titles.common);
        double used = fmin(svg_text_width(style, s->titles.common, length), half);
        y += SHEET_LINE;
        if (length) svg_text(out, s->left, y, style, half, s->titles.common);
        if (length) used += 20;
        if (*s->titles.form) svg_text(out, s->left + used, y, style, width - used, s->titles.form);
    }
    if (s->pages > 1) draw_links(out, s, y + SHEET_LINE);
}

static bool draw_sheet(FILE *out, const struct plot_overview *o, const struct sheet *s,
                       struct jobs_error *error) {
    double width = fmax(s->width, SHEET_WIDTH_MIN);
    svg_open(out, width, s->height, o->title);
    draw_heading(out, o, s, width - s->left - SHEET_RIGHT);
    if (!draw_panels(out, o, s, error)) return false;
    /* The axes are named once, for the sheet as a whole. */
    struct svg_frame all = {.left = s->left,
                            .top = s->top,
                            .width = s->width - s->left - 2 * SHEET_RIGHT,
                            .height = s->height - s->top - SHEET_BOTTOM,
                            .x = s->frame.x,
                            .y = s->frame.y};
    if (o->x_name) svg_name_x(out, &all, 40, o->x_name);
    if (o->y_name) svg_name_y(out, &all, plot_label_width(&all.y) + 18, o->y_name);
    svg_close(out);
    return true;
}

bool plot_overview_write(struct plot_overview *o, size_t page, FILE *out, struct jobs_error *error) {
    struct sheet sheet;
    assert(page < plot_overview_pages(o));
    sort_panels(o);
    bool good = sheet_make(&sheet, o, page) || jobs_fail_memory(error, "the pictures");
    good = good && draw_sheet(out, o, &sheet, error);
    sheet_free(&sheet);
    return good && fflush(out) == 0 && !ferror(out);
}
