/* Positions in the event streams: what a stream to a client needs to be resumed, whatever it brings.
 *
 *   places.h  where a gateway stands in the event streams, and the changes that it has heard
 *   change.h  a change, and the chains that it is on
 *   token.h   a position as text, which a client sends back
 *
 * A position is a place in every event stream, whose order all gateways share. A kind of stream says which events
 * concern a client and what is sent of them, and resets a client that the position cannot help (gateway/live/live.h
 * does so for home timelines). It knows no ids' order, no clock and no other state.
 */
#ifndef ROOKERY_GATEWAY_POSITION_POSITION_H
#define ROOKERY_GATEWAY_POSITION_POSITION_H

#include "gateway/position/change.h"
#include "gateway/position/places.h"
#include "gateway/position/token.h"

#endif
