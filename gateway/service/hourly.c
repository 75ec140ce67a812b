/* Which methods are limited by the hour too. Apart from the table of methods, which knows every handler: the
 * authenticator asks here, and some handlers ask the authenticator. */
#include "gateway/service/service.h"

enum limit service_hourly_limit(const struct rpc_method *m) {
    if (m->handler == post_service_create_post || m->handler == post_service_repost) return LIMIT_POSTS;
    return m->handler == graph_service_follow ? LIMIT_FOLLOWS : LIMIT_NONE;
}
