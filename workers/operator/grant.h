/* `rookery-worker grant HANDLE analyst` and `rookery-worker revoke HANDLE analyst`: who may do more than others. */
#ifndef ROOKERY_WORKERS_OPERATOR_GRANT_H
#define ROOKERY_WORKERS_OPERATOR_GRANT_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_GRANT, COMMAND_REVOKE;

#endif
