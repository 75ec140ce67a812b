/* Counts: likes, reposts and replies of posts; followers, followed and posts of accounts. Exact after any
 * replay. */
#ifndef ROOKERY_WORKERS_COUNTS_COUNTS_H
#define ROOKERY_WORKERS_COUNTS_COUNTS_H

#include "workers/runtime/runtime.h"

extern const struct role COUNTS_ROLE;

#endif
