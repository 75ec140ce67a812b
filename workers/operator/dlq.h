/* rookery-worker dlq: what roles have given up, to look at, to try again, or to drop. Its --help says how. */
#ifndef ROOKERY_WORKERS_OPERATOR_DLQ_H
#define ROOKERY_WORKERS_OPERATOR_DLQ_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_DLQ;

#endif
