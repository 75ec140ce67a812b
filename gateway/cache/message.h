/* Rows of the domain as messages of the API, in the arena. */
#ifndef ROOKERY_GATEWAY_CACHE_MESSAGE_H
#define ROOKERY_GATEWAY_CACHE_MESSAGE_H

#include "core/domain/account/account.h"
#include "core/domain/post/post.h"
#include "rookery/v1/account.pb-c.h"
#include "rookery/v1/post.pb-c.h"

Google__Protobuf__Timestamp *message_time(struct arena *a, int64_t ms);
Rookery__V1__AccountSummary *message_summary(struct arena *a, const struct account_summary *s);
Rookery__V1__Account *message_account(struct arena *a, const struct account *account);

/* Encodes fields 1 to 11 of rookery.v1.Post, which only an edit changes. Returns an empty string for a repost. */
struct str message_encode_post(struct arena *a, const struct post *p);
struct str message_encode_summary(struct arena *a, const struct account_summary *s);

#endif
