/* Counts: likes, reposts and replies of posts; followers, followed accounts and posts of accounts. They stay exact
 * when events are redelivered. */
#ifndef ROOKERY_WORKERS_COUNTS_COUNTS_H
#define ROOKERY_WORKERS_COUNTS_COUNTS_H

#include "workers/runtime/runtime.h"

extern const struct role COUNTS_ROLE;

#endif
