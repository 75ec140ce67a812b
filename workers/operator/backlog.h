/* rookery-worker backlog. Its --help says what it prints. */
#ifndef ROOKERY_WORKERS_OPERATOR_BACKLOG_H
#define ROOKERY_WORKERS_OPERATOR_BACKLOG_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_BACKLOG;

#endif
