/* Generated identifiers: ids (snowflake.h), secrets (token.h), and places in lists (page_token.h). */
#ifndef ROOKERY_CORE_ID_ID_H
#define ROOKERY_CORE_ID_ID_H

#include "core/id/page_token.h"
#include "core/id/snowflake.h"
#include "core/id/token.h"

#endif
