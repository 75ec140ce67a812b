/* rookery-worker dlq: shows, replays or drops the dead letters, which are entries that roles gave up. Its --help says
 * how. */
#ifndef ROOKERY_WORKERS_OPERATOR_DLQ_H
#define ROOKERY_WORKERS_OPERATOR_DLQ_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_DLQ;

#endif
