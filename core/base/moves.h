/* State machines: which states may follow which.
 *
 * A table has a row for each state, indexed by the state that is left, with a bit for each state that may follow. One
 * function per struct changes its state, and checks the move there. A move that is not in the table is a bug of this
 * program, never of a peer: it ends the process. */
#ifndef ROOKERY_CORE_BASE_MOVES_H
#define ROOKERY_CORE_BASE_MOVES_H

#include <assert.h>
#include <stdint.h>

typedef uint16_t moves;

#define MOVE_TO(state) (1u << (state))
/* A macro, so that the message names the function that was to move. */
#define MOVES_CHECK(table, from, to) assert((table)[from] & MOVE_TO(to))

#endif
