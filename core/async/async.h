/* One thread, one loop, many fibers: waiting code reads like blocking code.
 *
 *   loop.h   the loop, fibers, and what fibers wait on: all that other rooms use
 *   fiber.h  the coroutine switch below them
 */
#ifndef ROOKERY_CORE_ASYNC_ASYNC_H
#define ROOKERY_CORE_ASYNC_ASYNC_H

#include "core/async/fiber.h"
#include "core/async/loop.h"

#endif
