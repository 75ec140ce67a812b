/* `rookery-worker grant HANDLE analyst` and `rookery-worker revoke HANDLE analyst`: permissions of accounts. */
#ifndef ROOKERY_WORKERS_OPERATOR_GRANT_H
#define ROOKERY_WORKERS_OPERATOR_GRANT_H

#include "workers/operator/operator.h"

extern const struct command COMMAND_GRANT, COMMAND_REVOKE;

#endif
