/* What a process says of itself in its metrics: its version, whether its servers are connected, and what it uses, under
 * the names that Prometheus' own clients give these. */
#ifndef ROOKERY_CORE_PROCESS_USAGE_H
#define ROOKERY_CORE_PROCESS_USAGE_H

#include "core/domain/domain.h"

struct usage;

/* For a daemon, whose domain has its metrics. Its servers may be opened later. Returns NULL on allocation failure. Free
 * it when the metrics have been freed. */
struct usage *usage_new(struct domain *d, const char *version);
void usage_free(struct usage *u);

#endif
