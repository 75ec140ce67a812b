/* Answers, made of cached parts: posts and items for a viewer (shape.h), pages and the accounts they speak of (lists.h). */
#ifndef ROOKERY_GATEWAY_ANSWER_ANSWER_H
#define ROOKERY_GATEWAY_ANSWER_ANSWER_H

#include "gateway/answer/lists.h"
#include "gateway/answer/shape.h"

#endif
