/* Checks of passwords: who may ask for one, and who waits.
 *
 * Hashing takes tens of milliseconds of a core on purpose. Before that is spent on a login: (1) the network's limit of
 * logins; a known owner whose network is over it has a limit of their own; (2) guesses at the account from the network
 * (core/limit/guess.h); (3) a place among ROOKERY_PASSWORD_CHECKS, given to networks in turns (core/limit/fair.h). So a
 * flood from one network waits behind itself. A registration needs its network's limit and a place; a change of the
 * password, which has a session, its account's limit and a place.
 */
#ifndef ROOKERY_GATEWAY_LIMIT_PASSWORD_H
#define ROOKERY_GATEWAY_LIMIT_PASSWORD_H

#include "core/limit/guess.h"
#include "gateway/gateway.h"

struct passwords;

/* Returns NULL on allocation failure. g->limits exists. */
struct passwords *passwords_new(struct gateway *g);
void passwords_free(struct passwords *p);

/* Waits for a place. Returns 0: passwords_leave must follow. Else RESOURCE_EXHAUSTED or the fiber's interrupt. */
int passwords_enter(struct fiber *self, struct passwords *p, uint64_t network, struct fault *fault);
void passwords_leave(struct passwords *p);

/* The same with all that comes before it, for a login. The end takes what became of it: 0, ERR_UNAUTHENTICATED for a
 * wrong password, or another error. */
int passwords_login_begin(struct fiber *self, struct passwords *p, struct str handle, uint64_t network,
                          struct guess *guess, struct fault *fault);
void passwords_login_end(struct passwords *p, const struct guess *guess, int result);

/* And for a registration. handle: of the account, when it was made (result 0). */
int passwords_register_begin(struct fiber *self, struct passwords *p, uint64_t network, struct fault *fault);
void passwords_register_end(struct passwords *p, struct str handle, uint64_t network, int result);

#endif
