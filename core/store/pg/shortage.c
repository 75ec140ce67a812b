/* A server that is out of something, or takes no writes.
 *
 * Such an error comes with every call, and only an operator can end its cause. So it is counted by cause; each cause is
 * logged at most every 10 s; and one that concerns every write is remembered (pg_writes_refused), so that the process
 * can say that it is not ready. A write that is committed later ends it. On a full disk a small write may succeed while
 * others fail: therefore it is said for 10 s at least after each refusal.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/pg/pg_internal.h"

static const struct {
    const char *state, *cause;
    const char *sentence; /* when no write can succeed */
} shortages[PG_SHORTAGES] = {
    {"53100", "disk", "PostgreSQL is out of disk space"},
    {"53200", "memory", NULL},
    {"53300", "connections", "PostgreSQL has no connection to spare"},
    {"53400", "limit", NULL},
    {"58030", "io", "PostgreSQL cannot read or write its files"},
    {"25006", "read_only", "PostgreSQL is read-only"},
};

void pg_shortage_metrics(struct pg_metrics *m) {
    for (size_t i = 0; i < PG_SHORTAGES; i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "cause=\"%s\"", shortages[i].cause);
        m->shortages[i] =
            metrics_counter(m->registry, "rookery_pg_shortages_total",
                            "Errors of a database that is out of something or read-only, by cause", labels);
    }
}

static void count(struct pg *pg, size_t i, const char *message) {
    int64_t now_ns = loop_now_ns(pg->loop), *logged_ns = &pg->shortage_logged_ns[i];
    pg->m.shortages[i]->value++;
    if (*logged_ns && now_ns - *logged_ns < PG_SHORTAGE_LOG_MS * NS_PER_MS) return;
    *logged_ns = now_ns;
    log_error(pg->log, "the database is short of something", LOG_S("sqlstate", shortages[i].state),
              LOG_S("text", message), LOG_S("writes", pg->writes_refused ? "refused" : "taken"));
}

static size_t find(const char *state) {
    size_t i = 0;
    while (i < PG_SHORTAGES && strcmp(shortages[i].state, state) != 0) i++;
    return i;
}

void pg_shortage_note(struct pg *pg, const char *state, const char *message) {
    size_t i = find(state);
    if (i == PG_SHORTAGES) return;
    if (shortages[i].sentence) {
        pg->writes_refused = shortages[i].sentence;
        pg->refused_ns = loop_now_ns(pg->loop);
    }
    count(pg, i, message);
}

/* A connection that is refused refuses no write as long as there are others: only pg_ready says whether there are.
 * libpq writes a SQLSTATE with a colon behind it; a port of that number has none. */
void pg_shortage_note_connect(struct pg *pg, const char *message) {
    char state[16];
    pg->connect_refused = NULL;
    for (size_t i = 0; i < PG_SHORTAGES; i++) {
        snprintf(state, sizeof state, "%s: ", shortages[i].state);
        if (!strstr(message, state)) continue;
        pg->connect_refused = shortages[i].sentence;
        count(pg, i, message);
    }
}

void pg_shortage_over(struct pg *pg) {
    if (!pg->writes_refused || loop_now_ns(pg->loop) - pg->refused_ns < PG_WRITES_REFUSED_MS * NS_PER_MS)
        return;
    pg->writes_refused = NULL;
    memset(pg->shortage_logged_ns, 0, sizeof pg->shortage_logged_ns);
    log_info(pg->log, "the database takes writes again");
}

const char *pg_writes_refused(const struct pg *pg) {
    return pg->writes_refused;
}

const char *pg_hindrance(const struct pg *pg) {
    if (pg->ready > 0) return pg->writes_refused;
    return pg->connect_refused ? pg->connect_refused : "waiting for PostgreSQL";
}
