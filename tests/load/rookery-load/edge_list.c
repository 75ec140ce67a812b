/* Reading and sorting an edge list.
 *
 *   1. Each line gives two numbers; each number seen first gets the next account.
 *   2. Edges gather in a run; a full run is sorted, freed of duplicates, and written to a temporary file.
 *   3. edge_list_next merges the runs. A graph that fits in one run never touches the disk.
 * Failures: a line that is no edge is named, with its number; a full disk is said when it is met.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/map.h"
#include "graph.h"

#define LINE_MAX_BYTES 4096
#define MAX_RUNS 4096

/* A sorted run: in memory, or in a file read through a buffer. */
struct run {
    FILE *file; /* NULL: memory */
    uint64_t *edges;
    size_t at, n;
    bool ended;
};
#define RUN_BUFFER ((size_t)4096)

struct edge_list {
    bool undirected;
    struct idmap accounts; /* number in the file -> account + 1 */
    uint64_t *gathering;   /* follower << 32 | followee */
    size_t n, cap, run_edges;
    struct run *runs;
    size_t n_runs;
    int64_t edges;
    bool any;
    uint64_t last;
    struct graph_totals totals;
};

/* ---- runs ---- */

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort_unique(struct edge_list *l) {
    qsort(l->gathering, l->n, sizeof *l->gathering, ascending);
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (kept == 0 || l->gathering[kept - 1] != l->gathering[i]) l->gathering[kept++] = l->gathering[i];
    l->totals.duplicates += (int64_t)(l->n - kept);
    l->n = kept;
}

static bool spill(struct edge_list *l) {
    sort_unique(l);
    struct run *r = &l->runs[l->n_runs];
    *r = (struct run){.file = tmpfile(), .edges = malloc(RUN_BUFFER * sizeof *r->edges)};
    bool ok = l->n_runs + 1 < MAX_RUNS && r->file && r->edges;
    l->n_runs++;
    ok = ok && fwrite(l->gathering, sizeof *l->gathering, l->n, r->file) == l->n && fflush(r->file) == 0;
    if (ok) rewind(r->file);
    l->n = 0;
    if (!ok) complain("the edges cannot be kept in temporary files: is there room in TMPDIR?");
    return ok;
}

/* What is left in memory is the last run. */
static void keep_rest(struct edge_list *l) {
    sort_unique(l);
    l->runs[l->n_runs++] = (struct run){.edges = l->gathering, .n = l->n};
    l->gathering = NULL;
}

static bool gather(struct edge_list *l, uint32_t follower, uint32_t followee) {
    if (l->n == l->run_edges && !spill(l)) return false;
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 65536;
        if (l->cap > l->run_edges) l->cap = l->run_edges;
        l->gathering = realloc(l->gathering, l->cap * sizeof *l->gathering);
        if (!l->gathering) abort();
    }
    l->gathering[l->n++] = (uint64_t)follower << 32 | followee;
    l->edges++;
    return true;
}

/* ---- lines ---- */

static uint32_t account_of(struct edge_list *l, int64_t number) {
    uintptr_t known = (uintptr_t)idmap_get(&l->accounts, number);
    if (known == 0) {
        known = l->accounts.len + 1;
        idmap_put(&l->accounts, number, (void *)known);
    }
    return (uint32_t)(known - 1);
}

static bool take_number(struct str *rest, int64_t *out) {
    static const char separators[] = " \t,;";
    while (rest->len > 0 && strchr(separators, rest->ptr[0])) rest->ptr++, rest->len--;
    size_t n = 0;
    while (n < rest->len && !strchr(separators, rest->ptr[n])) n++;
    bool ok = str_to_i64((struct str){rest->ptr, n}, out);
    rest->ptr += n;
    rest->len -= n;
    return ok;
}

static bool take_line(struct edge_list *l, struct str line) {
    int64_t from, to;
    if (!take_number(&line, &from) || !take_number(&line, &to)) return false;
    uint32_t a = account_of(l, from), b = account_of(l, to);
    if (a == b) {
        l->totals.self_loops++;
        return true;
    }
    return gather(l, a, b) && (!l->undirected || gather(l, b, a));
}

static bool read_lines(struct edge_list *l, FILE *in, const char *path) {
    char text[LINE_MAX_BYTES];
    for (int64_t number = 1; fgets(text, sizeof text, in); number++) {
        struct str line = str_trim(str_from(text));
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '%') continue;
        if (!take_line(l, line)) {
            complain("%s, line %" PRId64 ": an edge is two whole numbers, such as \"12 345\"", path, number);
            return false;
        }
        show_progress(false, "reading %s: %s accounts, %s edges", path, with_commas((int64_t)l->accounts.len),
                      with_commas(l->edges));
    }
    if (ferror(in)) complain("%s cannot be read to its end", path);
    return !ferror(in);
}

struct edge_list *edge_list_read(const char *path, bool undirected, size_t run_edges) {
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (!in) {
        complain("%s cannot be opened", path);
        return NULL;
    }
    struct edge_list *l = calloc(1, sizeof *l);
    struct run *runs = calloc(MAX_RUNS, sizeof *runs);
    if (!l || !runs) abort();
    *l = (struct edge_list){.undirected = undirected, .run_edges = run_edges, .runs = runs};
    idmap_init(&l->accounts);
    bool ok = read_lines(l, in, path);
    if (in != stdin) fclose(in);
    if (ok && l->accounts.len == 0) {
        complain("%s holds no edge", path);
        ok = false;
    }
    if (ok) {
        keep_rest(l);
        return l;
    }
    edge_list_free(l);
    return NULL;
}

void edge_list_free(struct edge_list *l) {
    if (!l) return;
    for (size_t i = 0; i < l->n_runs; i++) {
        if (l->runs[i].file) fclose(l->runs[i].file);
        free(l->runs[i].edges);
    }
    free(l->runs);
    free(l->gathering);
    idmap_free(&l->accounts);
    free(l);
}

int64_t edge_list_accounts(const struct edge_list *l) {
    return (int64_t)l->accounts.len;
}

int64_t edge_list_edges(const struct edge_list *l) {
    return l->edges;
}

const struct graph_totals *edge_list_totals(const struct edge_list *l) {
    return &l->totals;
}

/* ---- merging ---- */

static bool peek(struct run *r, uint64_t *edge) {
    if (r->at == r->n && r->file && !r->ended) {
        r->n = fread(r->edges, sizeof *r->edges, RUN_BUFFER, r->file);
        r->at = 0;
        r->ended = r->n == 0;
    }
    if (r->at == r->n) return false;
    *edge = r->edges[r->at];
    return true;
}

static bool smallest(struct edge_list *l, uint64_t *out) {
    struct run *from = NULL;
    *out = 0;
    for (size_t i = 0; i < l->n_runs; i++) {
        uint64_t edge;
        if (!peek(&l->runs[i], &edge) || (from && edge >= *out)) continue;
        from = &l->runs[i];
        *out = edge;
    }
    if (from) from->at++;
    return from != NULL;
}

bool edge_list_next(struct edge_list *l, struct follow *out) {
    uint64_t edge;
    while (smallest(l, &edge)) {
        if (l->any && edge == l->last) {
            l->totals.duplicates++;
            continue;
        }
        l->any = true;
        l->last = edge;
        *out = (struct follow){(uint32_t)(edge >> 32), (uint32_t)edge};
        return true;
    }
    return false;
}
