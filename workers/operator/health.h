/* The command `health`: asks a running worker, at its ROOKERY_METRICS_LISTEN, whether it serves. */
#ifndef ROOKERY_WORKERS_OPERATOR_HEALTH_H
#define ROOKERY_WORKERS_OPERATOR_HEALTH_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_HEALTH;

#endif
