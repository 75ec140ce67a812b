/* Reads /proc/self and the limits at each scrape. What cannot be read stays as it was. */
#include "core/process/usage.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/store/pg/pg.h"
#include "core/store/redis/redis.h"

struct usage {
    const struct domain *domain;
    struct gauge *pg_up, *redis_up;
    struct gauge *cpu, *resident, *virtual, *fds, *max_fds;
};

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void read_cpu(struct usage *u) {
    struct rusage r;
    if (getrusage(RUSAGE_SELF, &r) == 0) u->cpu->value = seconds_of(r.ru_utime) + seconds_of(r.ru_stime);
}

static void read_memory(struct usage *u) {
    int64_t total, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    if (fscanf(file, "%" SCNd64 " %" SCNd64, &total, &resident) == 2) {
        double page = (double)sysconf(_SC_PAGESIZE);
        u->virtual->value = (double)total * page;
        u->resident->value = (double)resident * page;
    }
    fclose(file);
}

/* Less the one that reading the folder takes. */
static void read_descriptors(struct usage *u) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) u->max_fds->value = (double)limit.rlim_cur;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return;
    int n = -1;
    for (const struct dirent *e; (e = readdir(folder));)
        if (e->d_name[0] != '.') n++;
    closedir(folder);
    u->fds->value = n;
}

static void on_scrape(void *arg) {
    struct usage *u = arg;
    u->pg_up->value = u->domain->pg && pg_ready(u->domain->pg);
    u->redis_up->value = u->domain->redis && redis_ready(u->domain->redis);
    read_cpu(u);
    read_memory(u);
    read_descriptors(u);
}

struct usage *usage_new(struct domain *d, const char *version) {
    struct metrics *m = d->metrics;
    struct usage *u = calloc(1, sizeof *u);
    char labels[64];
    if (!u) return NULL;
    u->domain = d;
    snprintf(labels, sizeof labels, "version=\"%s\"", version);
    metrics_gauge(m, "rookery_build_info", "Always 1; the label says which version runs", labels)->value = 1;
    u->pg_up = metrics_gauge(m, "rookery_pg_up", "1 while PostgreSQL is connected, else 0", "");
    u->redis_up = metrics_gauge(m, "rookery_redis_up", "1 while Redis is connected, else 0", "");
    u->cpu = metrics_float_counter(m, "process_cpu_seconds_total", "Processor time used, in seconds", "");
    u->resident = metrics_gauge(m, "process_resident_memory_bytes", "Resident memory, in bytes", "");
    u->virtual = metrics_gauge(m, "process_virtual_memory_bytes", "Virtual memory, in bytes", "");
    u->fds = metrics_gauge(m, "process_open_fds", "Open file descriptors", "");
    u->max_fds = metrics_gauge(m, "process_max_fds", "Maximum open file descriptors", "");
    metrics_gauge(m, "process_start_time_seconds", "When the process started, in seconds of the epoch", "")
        ->value = (double)clock_wall_ms() / 1e3;
    metrics_on_scrape(m, on_scrape, u);
    return u;
}

void usage_free(struct usage *u) {
    free(u);
}
