/* How much one account, and one network, may ask of a gateway: the one table of limits.
 *
 * Each limit is a rate (core/limit/gcra.h), by account or by network (core/http/network.h). Its number is a setting; a
 * caller that was quiet may use several periods' worth in one go. A call of an account takes from the limit of its
 * method's cost class (rookery/v1/options.proto), and posts and follows from one by the hour as well
 * (gateway/service/service.h). Before it is known who calls, the network's limits count; a network's /48 has ten times
 * as much. Calls with a session take nothing from their network: many people may share one.
 *
 * A refusal is RESOURCE_EXHAUSTED and says when to try again. Refused calls take nothing, so a limit slows an account
 * down to its rate and never shuts it out. Refusals are counted, and logged once a minute.
 *
 * All of it is in this gateway's memory, for the 65,536 accounts and networks that called last. With several gateways
 * behind one name an account has each gateway's limits; a restart forgets what was used.
 */
#ifndef ROOKERY_GATEWAY_LIMIT_LIMIT_H
#define ROOKERY_GATEWAY_LIMIT_LIMIT_H

#include "gateway/gateway.h"

/* X(name, member of struct config, seconds of a period, periods' worth in one go, by account?, what is counted)
 * The first ones are those of the cost classes, in their order. */
#define LIMIT_TABLE(X)                                                                                       \
    X(LOOKUP, limit_lookups, 1, 10, true, "lookups")                                                         \
    X(PAGE, limit_pages, 1, 10, true, "pages")                                                               \
    X(CHANGE, limit_changes, 1, 10, true, "changes")                                                         \
    X(PUBLISH, limit_publishes, 1, 10, true, "published changes")                                            \
    X(PASSWORD, limit_passwords, 60, 1, true, "password checks")                                             \
    X(STREAM, limit_streams, 1, 10, true, "new streams")                                                     \
    X(WORK, limit_work, 1, 10, true, "uploads and jobs")                                                     \
    X(POSTS, limit_posts, 3600, 1, true, "posts")                                                            \
    X(FOLLOWS, limit_follows, 3600, 1, true, "follows")                                                      \
    X(STRANGERS, limit_strangers, 1, 10, false, "calls without a session")                                   \
    X(TOKENS, limit_tokens, 1, 50, false, "calls with a wrong token")                                        \
    X(LOGINS, limit_logins, 60, 1, false, "logins")                                                          \
    X(REGISTRATIONS, limit_registrations, 3600, 1, false, "registrations")

enum limit {
    LIMIT_NONE, /* as the cost class 0 */
#define X(name, member, period_s, periods, by_account, what) LIMIT_##name,
    LIMIT_TABLE(X)
#undef X
        LIMITS
};

/* A network's /48 has so many times its limits. */
#define LIMIT_AROUND 10

struct limits;

/* Returns NULL on allocation failure. */
struct limits *limits_new(struct gateway *g);
void limits_free(struct fiber *self, struct limits *l);

/* Takes one. Returns 0, or RESOURCE_EXHAUSTED with when to try again. LIMIT_NONE: 0. */
int limits_account(struct limits *l, enum limit which, int64_t account, struct fault *fault);
int limits_network(struct limits *l, enum limit which, uint64_t network, struct fault *fault);
/* The same, without taking. */
int limits_network_peek(struct limits *l, enum limit which, uint64_t network, struct fault *fault);
/* Undoes a take that was allowed. */
void limits_account_give_back(struct limits *l, enum limit which, int64_t account);
void limits_network_give_back(struct limits *l, enum limit which, uint64_t network);

/* Has this counter of refusals in the log's line as well. name: a literal. */
struct counter;
void limits_report(struct limits *l, const char *name, const struct counter *counter);

/* "500 a second, 5000 in one go" in out, with these settings. */
void limit_describe(enum limit which, const struct config *c, char *out, size_t size);
const char *limit_what(enum limit which);
bool limit_is_by_account(enum limit which);

#endif
