/* Limits: what bounds how much one caller may ask for, so that it costs others nothing. Pure, but for fair.h: time is a
 * parameter, monotonic nanoseconds.
 *
 *   gcra.h    a rate and a burst, kept as one number
 *   table.h   such numbers by key, of a bounded number of keys
 *   guess.h   slows those who guess passwords, and never the owner
 *   fair.h    places for work that is expensive, given to callers in turns
 */
#ifndef ROOKERY_CORE_LIMIT_LIMIT_H
#define ROOKERY_CORE_LIMIT_LIMIT_H

#include "core/limit/fair.h"
#include "core/limit/gcra.h"
#include "core/limit/guess.h"
#include "core/limit/table.h"

#endif
