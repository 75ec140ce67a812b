/* The lowest room: what any C program needs. Nothing here depends on events, servers or accounts, and nothing
 * suspends.
 *
 *   arena.h    memory freed together        str.h      slices and buffers
 *   list.h     linked lists                       map.h      hash maps, sets of ids
 *   error.h    the errors of the whole program    log.h      lines of JSON
 *   clock.h    times                              metrics.h  counters, gauges, histograms
 *   moves.h    which states may follow which      server_check.h  what must hold of a server
 */
#ifndef ROOKERY_CORE_BASE_BASE_H
#define ROOKERY_CORE_BASE_BASE_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/base/metrics.h"
#include "core/base/moves.h"
#include "core/base/server_check.h"
#include "core/base/str.h"

#endif
