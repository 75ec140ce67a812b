/* Positions in the event streams: what a stream to a client needs to be resumed, whatever it brings.
 *
 *   places.h  where a gateway stands in the event streams, and which events it has met
 *   token.h   a position as text, which a client sends back
 *   missed.h  reads what was published between two positions
 *
 * A position is a place in every event stream: publication order, which all gateways share. A kind of stream says
 * which events concern a client and what is sent of them, and resets a client that the position cannot help
 * (gateway/live/live.h does so for home timelines). It knows no ids' order, no clock and no other state.
 */
#ifndef ROOKERY_GATEWAY_POSITION_POSITION_H
#define ROOKERY_GATEWAY_POSITION_POSITION_H

#include "gateway/position/missed.h"
#include "gateway/position/places.h"
#include "gateway/position/token.h"

#endif
