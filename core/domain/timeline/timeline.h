/* Home timelines: what they are (home.h, from SQL), the lists in Redis that serve them (list.h), and the authors
 * whose entries readers merge because they have too many followers (pull.h). */
#ifndef ROOKERY_CORE_DOMAIN_TIMELINE_TIMELINE_H
#define ROOKERY_CORE_DOMAIN_TIMELINE_TIMELINE_H

#include "core/domain/timeline/home.h"
#include "core/domain/timeline/list.h"
#include "core/domain/timeline/pull.h"

#endif
