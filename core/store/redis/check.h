/* What must hold of a Redis server; checked at each new connection that redis_open makes, before it is used. */
#ifndef ROOKERY_CORE_STORE_REDIS_CHECK_H
#define ROOKERY_CORE_STORE_REDIS_CHECK_H

#include "core/base/str.h"

struct log;

/* info: INFO's text, of all default sections. As server_check. */
const char *redis_check(struct str info, unsigned *logged, struct log *log);

#endif
