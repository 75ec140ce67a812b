/* Impressions.
 *
 *   1. A home read notes the posts of its page that are in a sample. A hash decides which pairs of viewer and post
 *      are in the sample, so reading a page again does not make them more likely.
 *   2. Once a second a fiber writes the noted pairs in one statement. A pair that is there already stays as it is.
 *   3. Now and then the fiber deletes pairs that are older than the days they are kept.
 * Failures: pairs beyond QUEUE_MAX a second are dropped and counted, so that under load reads come first. When
 * PostgreSQL is unreachable, the noted pairs are dropped and counted.
 */
#include "gateway/home/impressions.h"
#include "gateway/home/impressions.sql.h"

#include <stdlib.h>

#define QUEUE_MAX 2000
#define WRITE_MS 1000
#define DROP_EVERY 60 /* writings */
#define DROP_MAX 10000
#define PER_MILLE 1000

struct impressions {
    struct domain *domain;
    int64_t posts[QUEUE_MAX], viewers[QUEUE_MAX];
    size_t n;
    struct fiber *writer;
    struct latch left;
    struct counter *written, *dropped;
};

static bool in_sample(const struct impressions *m, int64_t viewer_id, int64_t post_id) {
    uint64_t h = (uint64_t)viewer_id * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)post_id;
    h = (h ^ h >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    return (int64_t)((h >> 33) % PER_MILLE) < m->domain->config->impression_sample;
}

void impressions_note(struct impressions *m, int64_t viewer_id, const struct cached_post *const *shown,
                      size_t n) {
    if (m->domain->config->impression_sample == 0) return;
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &shown[i]->entry;
        if (e->author_id == viewer_id || !in_sample(m, viewer_id, e->id)) continue;
        if (m->n == QUEUE_MAX) {
            m->dropped->value++;
            continue;
        }
        m->posts[m->n] = e->id;
        m->viewers[m->n++] = viewer_id;
    }
}

static void write_noted(struct fiber *self, struct impressions *m) {
    size_t n = m->n;
    if (n == 0) return;
    m->n = 0; /* they are copied before the fiber waits; others may be noted meanwhile */
    int e = pg_ask(self, m->domain->pg, &IMPRESSIONS_INSERT, NULL, NULL, pg_i64_array(m->posts, n),
                   pg_i64_array(m->viewers, n));
    (e == 0 ? m->written : m->dropped)->value += n;
}

static void drop_old(struct fiber *self, struct impressions *m) {
    pg_ask(self, m->domain->pg, &IMPRESSIONS_DROP_OLD, NULL, NULL, pg_i64(m->domain->config->impression_days),
           pg_i64(DROP_MAX)); /* failing: the next time */
}

static void write_on(struct fiber *self, void *arg) {
    struct impressions *m = arg;
    for (unsigned turn = 1; fiber_sleep_ms(self, WRITE_MS) == 0; turn++) {
        write_noted(self, m);
        if (turn % DROP_EVERY == 0) drop_old(self, m);
        arena_reset(fiber_arena(self));
    }
    latch_done(&m->left);
}

struct impressions *impressions_new(struct gateway *g) {
    struct impressions *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->domain = &g->domain;
    latch_init(&m->left, 1);
    m->written = metrics_counter(g->domain.metrics, "rookery_impressions_written_total",
                                 "Impressions stored, including repetitions", "");
    m->dropped = metrics_counter(g->domain.metrics, "rookery_impressions_dropped_total",
                                 "Sampled impressions that were not stored", "");
    struct fiber_options options = {.name = "impressions"};
    if (fiber_spawn(g->domain.loop, &options, write_on, m, &m->writer) == 0) return m;
    free(m);
    return NULL;
}

void impressions_stop(struct fiber *self, struct impressions *m) {
    if (!m) return;
    fiber_cancel(m->writer);
    latch_wait(self, &m->left);
    write_noted(self, m);
    free(m);
}
