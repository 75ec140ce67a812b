/* The registry: every series by its name and labels, and the families they belong to in order of name. */
#include "core/base/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/list.h"
#include "core/base/map.h"

enum {
    SERIES_MAX = 2000,     /* what a scrape can carry; beyond it some label is unbounded */
    SCRAPE_HOOKS_MAX = 64, /* one for each part of a process that has gauges */
};

enum kind { COUNTER, GAUGE, SECONDS, SIZES };

static const double seconds_bounds[HISTOGRAM_BUCKETS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
static const double size_bounds[HISTOGRAM_BUCKETS] = {1,   2,   4,    8,    16,   32,   64,    128,
                                                      256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

struct family {
    struct list_node node;   /* metrics.families */
    struct list_node series; /* in order of making */
    const char *name, *help;
    enum kind kind;
};

struct series {
    struct list_node node; /* family.series */
    struct metrics *owner;
    const struct family *family;
    char *labels;
    union {
        struct counter counter;
        struct gauge gauge;
        struct histogram histogram;
    };
};

struct scrape_hook {
    void (*fn)(void *arg);
    void *arg;
};

struct metrics {
    struct list_node families; /* by name */
    struct strmap family_of;   /* by name */
    struct strmap series_of;   /* by name, '{', labels */
    struct scrape_hook hooks[SCRAPE_HOOKS_MAX];
    size_t hook_count;
};

static void *must(void *p) {
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

struct metrics *metrics_new(void) {
    struct metrics *m = must(calloc(1, sizeof(*m)));
    list_init(&m->families);
    strmap_init(&m->family_of);
    strmap_init(&m->series_of);
    return m;
}

static void family_free(struct family *f) {
    struct list_node *n;
    while ((n = list_pop_front(&f->series))) {
        struct series *s = list_entry(n, struct series, node);
        free(s->labels);
        free(s);
    }
    free(f);
}

void metrics_free(struct metrics *m) {
    if (!m) return;
    struct list_node *n;
    while ((n = list_pop_front(&m->families))) family_free(list_entry(n, struct family, node));
    strmap_free(&m->family_of);
    strmap_free(&m->series_of);
    free(m);
}

static struct family *family_get(struct metrics *m, const char *name, const char *help, enum kind kind) {
    struct family *f = strmap_get(&m->family_of, str_from(name));
    if (f) {
        assert(f->kind == kind); /* one name, one kind */
        return f;
    }
    f = must(calloc(1, sizeof(*f)));
    *f = (struct family){.name = name, .help = help, .kind = kind};
    list_init(&f->series);
    struct list_node *after = m->families.next;
    while (after != &m->families && strcmp(list_entry(after, struct family, node)->name, name) < 0) {
        after = after->next;
    }
    list_insert_before(after, &f->node);
    strmap_put(&m->family_of, str_from(name), f);
    return f;
}

static struct series *series_new(struct metrics *m, struct family *f, const char *labels) {
    struct series *s = must(calloc(1, sizeof(*s)));
    s->owner = m;
    s->family = f;
    s->labels = must(strdup(labels));
    list_push_back(&f->series, &s->node);
    return s;
}

/* The series that stands for all further ones of a kind once there are too many. */
static struct series *series_overflow(struct metrics *m, enum kind kind) {
    static const char *const names[] = {
        [COUNTER] = "metrics_overflow_total",
        [GAUGE] = "metrics_overflow",
        [SECONDS] = "metrics_overflow_seconds",
        [SIZES] = "metrics_overflow_size",
    };
    struct family *f = family_get(m, names[kind], "Series past the limit of the registry, together.", kind);
    if (list_empty(&f->series)) series_new(m, f, "");
    return list_entry(f->series.next, struct series, node);
}

static struct series *series_get(struct metrics *m, const char *name, const char *help, const char *labels,
                                 enum kind kind) {
    struct buf key;
    buf_init(&key);
    buf_printf(&key, "%s{%s", name, labels);
    struct series *s = strmap_get(&m->series_of, buf_str(&key));
    if (s) {
        assert(s->family->kind == kind);
    } else if (m->series_of.len >= SERIES_MAX) {
        s = series_overflow(m, kind);
    } else {
        s = series_new(m, family_get(m, name, help, kind), labels);
        strmap_put(&m->series_of, buf_str(&key), s);
    }
    buf_free(&key);
    return s;
}

struct counter *metrics_counter(struct metrics *m, const char *name, const char *help, const char *labels) {
    return &series_get(m, name, help, labels, COUNTER)->counter;
}

struct gauge *metrics_gauge(struct metrics *m, const char *name, const char *help, const char *labels) {
    return &series_get(m, name, help, labels, GAUGE)->gauge;
}

struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const char *labels) {
    return &series_get(m, name, help, labels, SECONDS)->histogram;
}

struct histogram *metrics_size_histogram(struct metrics *m, const char *name, const char *help,
                                         const char *labels) {
    return &series_get(m, name, help, labels, SIZES)->histogram;
}

static const double *bounds_of(enum kind kind) {
    return kind == SIZES ? size_bounds : seconds_bounds;
}

void histogram_observe(struct histogram *h, double seconds_or_size, struct metrics *m) {
    const struct series *s = list_entry(h, struct series, histogram);
    assert(s->owner == m);
    const double *bounds = bounds_of(s->family->kind);
    size_t i = 0;
    while (i < HISTOGRAM_BUCKETS && seconds_or_size > bounds[i]) i++;
    h->count[i]++;
    h->sum += seconds_or_size;
}

void metrics_on_scrape(struct metrics *m, void (*fn)(void *arg), void *arg) {
    assert(m->hook_count < SCRAPE_HOOKS_MAX);
    m->hooks[m->hook_count++] = (struct scrape_hook){fn, arg};
}

void metrics_off_scrape(struct metrics *m, void (*fn)(void *arg), void *arg) {
    size_t kept = 0;
    for (size_t i = 0; i < m->hook_count; i++)
        if (m->hooks[i].fn != fn || m->hooks[i].arg != arg) m->hooks[kept++] = m->hooks[i];
    m->hook_count = kept;
}

/* Prometheus writes infinities and NaN its own way. */
static void write_number(struct buf *out, double v) {
    if (v != v) {
        buf_append_cstr(out, "NaN");
    } else if (v - v != 0) {
        buf_append_cstr(out, v > 0 ? "+Inf" : "-Inf");
    } else {
        buf_append_f64(out, v);
    }
}

/* name suffix {labels} up to the number; `le` may be NULL. */
static void write_name(struct buf *out, const struct series *s, const char *suffix, const char *le) {
    buf_printf(out, "%s%s", s->family->name, suffix);
    if (le) {
        buf_printf(out, "{%s%sle=\"%s\"}", s->labels, s->labels[0] ? "," : "", le);
    } else if (s->labels[0]) {
        buf_printf(out, "{%s}", s->labels);
    }
    buf_append_char(out, ' ');
}

static void write_histogram(struct buf *out, const struct series *s) {
    const double *bounds = bounds_of(s->family->kind);
    uint64_t cumulative = 0;
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        char le[32] = "+Inf";
        if (i < HISTOGRAM_BUCKETS) format_f64(le, bounds[i]);
        cumulative += s->histogram.count[i];
        write_name(out, s, "_bucket", le);
        buf_printf(out, "%llu\n", (unsigned long long)cumulative);
    }
    write_name(out, s, "_sum", NULL);
    write_number(out, s->histogram.sum);
    buf_append_char(out, '\n');
    write_name(out, s, "_count", NULL);
    buf_printf(out, "%llu\n", (unsigned long long)cumulative);
}

static void write_series(struct buf *out, const struct series *s) {
    switch (s->family->kind) {
    case COUNTER:
        write_name(out, s, "", NULL);
        buf_printf(out, "%llu\n", (unsigned long long)s->counter.value);
        return;
    case GAUGE:
        write_name(out, s, "", NULL);
        write_number(out, s->gauge.value);
        buf_append_char(out, '\n');
        return;
    case SECONDS:
    case SIZES: write_histogram(out, s); return;
    }
}

static void write_family(struct buf *out, const struct family *f) {
    static const char *const types[] = {
        [COUNTER] = "counter", [GAUGE] = "gauge", [SECONDS] = "histogram", [SIZES] = "histogram"};
    buf_printf(out, "# HELP %s ", f->name);
    for (const char *c = f->help; *c; c++) {
        if (*c == '\n') {
            buf_append_cstr(out, "\\n");
        } else if (*c == '\\') {
            buf_append_cstr(out, "\\\\");
        } else {
            buf_append_char(out, *c);
        }
    }
    buf_printf(out, "\n# TYPE %s %s\n", f->name, types[f->kind]);
    list_each (&f->series, it) write_series(out, list_entry(it, struct series, node));
}

void metrics_write(struct metrics *m, struct buf *out) {
    for (size_t i = 0; i < m->hook_count; i++) m->hooks[i].fn(m->hooks[i].arg);
    list_each (&m->families, it) write_family(out, list_entry(it, struct family, node));
}
