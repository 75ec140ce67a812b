/* rookery-worker audit. Its --help says what it does. */
#ifndef ROOKERY_WORKERS_AUDIT_COMMAND_H
#define ROOKERY_WORKERS_AUDIT_COMMAND_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_AUDIT;

#endif
