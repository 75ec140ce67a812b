/* rookery-worker backlog. Its --help says what it prints. */
#ifndef ROOKERY_WORKERS_BACKLOG_COMMAND_H
#define ROOKERY_WORKERS_BACKLOG_COMMAND_H

#include "workers/command.h"

extern const struct command COMMAND_BACKLOG;

#endif
