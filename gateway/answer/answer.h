/* Replies, assembled from cached parts: posts and items for a viewer (shape.h), pages and the accounts that they
 * mention (lists.h). */
#ifndef ROOKERY_GATEWAY_ANSWER_ANSWER_H
#define ROOKERY_GATEWAY_ANSWER_ANSWER_H

#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"

#endif
